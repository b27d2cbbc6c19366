-- post-function: Lua snippets out of the configuration, after all other plugins. How they run: moongate.snippets.

return require("moongate.snippets").handler("post-function", -1000)
