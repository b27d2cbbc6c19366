-- The name guests know: its functions are there already, in `ngx`.

return {}
