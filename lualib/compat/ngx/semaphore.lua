-- The name guests know: require "ngx.semaphore".

return { new = require("moongate.ngx.thread").new_semaphore, version = "0.1.28" }
