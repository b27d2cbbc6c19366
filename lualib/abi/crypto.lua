-- Digests, MACs, signatures, base64, CRC. Binary results; hex is a matter for the caller.

local native = require("moongate.abi.c").native

return {
  md5 = native.md5,
  sha1 = native.sha1,
  sha256 = native.sha256,
  sha384 = native.sha384,
  sha512 = native.sha512,
  hmac = native.hmac,                   -- hmac("sha256" | "sha1" | "md5" | "sha224" | "sha384" | "sha512", key, text)
  crc32 = native.crc32,
  equal = native.equal,                 -- constant time
  encode_base64 = native.encode_base64, -- encode_base64(s[, no_padding[, url]])
  decode_base64 = native.decode_base64, -- string | nil; url: the URL alphabet, padding optional
  hex = native.hex,
  sign_ed25519 = native.sign_ed25519,   -- sign_ed25519(private key in PEM, text) -> 64 bytes | nil, why
  public_key = native.public_key,       -- public_key(pem) -> key | nil; keep it
  verify = native.verify,               -- verify("RS256" | "ES256" | ..., key, text, signature) -> boolean | nil, why
}
