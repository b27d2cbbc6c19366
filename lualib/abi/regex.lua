-- Regular expressions over PCRE2, with match limits; compiled ones are cached by C.

local native = require("moongate.abi.c").native

return {
  -- exec(subject, pattern, options, from) -> array of 1-based inclusive offsets {s0, e0, s1, e1, ...}
  -- (false, false for a group that took no part) | nil (no match) | nil, why
  exec = native.re_exec,
  -- names(pattern, options) -> {name = group number} | nil
  names = native.re_names,
}
