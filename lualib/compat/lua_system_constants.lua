-- The name guests know: require "lua_system_constants": numbers of fcntl.h and sys/stat.h, each by a function. Linux's.

require("moongate.abi.posix") -- who asks for these numbers calls open()

local VALUES = {
  O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0x40, O_EXCL = 0x80, O_TRUNC = 0x200, O_APPEND = 0x400,
  S_IRWXU = 0x1c0, S_IRUSR = 0x100, S_IWUSR = 0x80, S_IXUSR = 0x40,
  S_IRWXG = 0x38, S_IRGRP = 0x20, S_IWGRP = 0x10, S_IXGRP = 0x8,
  S_IRWXO = 0x7, S_IROTH = 0x4, S_IWOTH = 0x2, S_IXOTH = 0x1,
}

local _M = {}

for name, value in pairs(VALUES) do
  _M[name] = function()
    return value
  end
end

return _M
