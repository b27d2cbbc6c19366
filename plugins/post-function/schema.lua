-- Configuration of post-function: Kong 3.14's fields.

return require("moongate.snippets").schema("post-function")
