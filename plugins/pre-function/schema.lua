-- Configuration of pre-function: Kong 3.14's fields.

return require("moongate.snippets").schema("pre-function")
