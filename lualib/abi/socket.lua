-- Cosocket primitives: C objects with methods; ngx/socket gives them OpenResty's interface.
-- tcp(): connect(host, port | "unix:/path", nil, opts), sslhandshake(session, sni, verify), send(data),
-- receive(pattern | n), receiveany(max), receiveuntil(pattern, {inclusive=}), settimeout(ms),
-- settimeouts(connect, send, read), setkeepalive(idle_ms, size), getreusedtimes(), close(), shutdown("send").
-- udp(): setpeername(host, port | "unix:..."), send(datagram), receive([max]), settimeout(ms), close().

local native = require("moongate.abi.c").native

return { tcp = native.tcp, udp = native.udp }
