-- pre-function: Lua snippets out of the configuration, before all other plugins. How they run: moongate.snippets.

return require("moongate.snippets").handler("pre-function", 1000000)
