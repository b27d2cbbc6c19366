-- Declarations of the C library that guests call through ffi.C without declaring them, as Kong and OpenResty have declared
-- them by then. Nothing of ours calls these.

require("ffi").cdef [[
int open(const char *path, int flags, ...);
int close(int fd);
ssize_t write(int fd, const void *bytes, size_t n);
ssize_t read(int fd, void *bytes, size_t n);
int fchmod(int fd, unsigned int mode);
int unlink(const char *path);
char *strerror(int number);
int getpid(void);
]]

return true
