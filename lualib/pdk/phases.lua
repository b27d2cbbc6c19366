-- The sets of phases that PDK functions are callable in, and the check they begin with.
-- Not the current phase (abi/phase).
-- Invariant: a public function calls check(MASK) itself, so that the error blames its caller.

local bit = require("bit")
local phase = require("moongate.abi.phase")

local bor = bit.bor
local P = phase

local M = { check = phase.check }

M.REWRITE_ACCESS = bor(P.REWRITE, P.ACCESS)
M.REWRITE_ACCESS_BALANCER = bor(M.REWRITE_ACCESS, P.BALANCER)
M.BODY = bor(P.REWRITE, P.ACCESS, P.RESPONSE)
M.BEFORE_HEAD = bor(M.REWRITE_ACCESS_BALANCER, P.RESPONSE, P.HEADER_FILTER)
M.AFTER_HEAD = bor(P.RESPONSE, P.HEADER_FILTER, P.BODY_FILTER, P.LOG)
M.AUTHENTICATED = bor(P.ACCESS, M.AFTER_HEAD)
M.REQUEST = bor(M.REWRITE_ACCESS_BALANCER, M.AFTER_HEAD)
M.CONNECTION = bor(P.CERTIFICATE, M.REQUEST)
M.PLUGIN = bor(P.REWRITE, M.AUTHENTICATED)
M.TLS_CLIENT = bor(M.REWRITE_ACCESS_BALANCER, P.RESPONSE)
M.TLS_LOG = bor(M.TLS_CLIENT, P.LOG)
M.ACCESS, M.LOG, M.BODY_FILTER, M.CERTIFICATE = P.ACCESS, P.LOG, P.BODY_FILTER, P.CERTIFICATE

return M
