-- Tokens of each asymmetric algorithm and the public keys that verify them; made once with the openssl program.
-- Claims: iss is the algorithm's name, exp the year 2100. The private keys are gone.

local function wrap(kind, text)
  return ("-----BEGIN %s-----\n%s\n-----END %s-----"):format(kind, text:gsub("%s+", ""):gsub(("."):rep(64), "%0\n"), kind)
end

local RSA = wrap("PUBLIC KEY", [[
  MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsK+RJBHE47Rcn5Px8AvGn7KrbWYnCtcmKK2iD1A/YAalusC2o1I+xmQ8
  w89YAOIm2mmH7KDYEzVgyfoV4jZfYWzjS1IUVlOzFYj99auDKuoBCgmRLQ6dL1Xs/pTCy92l/S8CMfsZiIxX8Q6MfCCsf3BF8u7B
  WN5NB2CM1yOHSrHsJ44IlgWOH02j8jD3D8t/Sp62REsuYLKgj+KnaUlBIo0ZzPcqx5cCLet0xoIRTGTvwl+tkrKeexVg8audd87N
  B5lVnorIeXvLsV8vdj066J8VIaeE/f5/0jLfOJLJhP4UEs26Ela/xsB17enNcQg+Q8Nk3ahtGgipwI9F+u2JKwIDAQAB
]])
local RSA_PKCS1 = wrap("RSA PUBLIC KEY", [[
  MIIBCgKCAQEAsK+RJBHE47Rcn5Px8AvGn7KrbWYnCtcmKK2iD1A/YAalusC2o1I+xmQ8w89YAOIm2mmH7KDYEzVgyfoV4jZfYWzj
  S1IUVlOzFYj99auDKuoBCgmRLQ6dL1Xs/pTCy92l/S8CMfsZiIxX8Q6MfCCsf3BF8u7BWN5NB2CM1yOHSrHsJ44IlgWOH02j8jD3
  D8t/Sp62REsuYLKgj+KnaUlBIo0ZzPcqx5cCLet0xoIRTGTvwl+tkrKeexVg8audd87NB5lVnorIeXvLsV8vdj066J8VIaeE/f5/
  0jLfOJLJhP4UEs26Ela/xsB17enNcQg+Q8Nk3ahtGgipwI9F+u2JKwIDAQAB
]])
local P256 = wrap("PUBLIC KEY", [[
  MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5MBpwuiJu4J3JXvGFJ+sbn3aOY4QtTvvTAh2CR+qilMvZIv4ppfb33ejatNW4gsf
  LLYIJ6ZrpAJMmcWEKXggdA==
]])
local P384 = wrap("PUBLIC KEY", [[
  MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAELD1y6Pj3g2IH9F1cFV1+NQXzDAf6qMLifjKuaJLqUtTmC4v9IiECwTVAi2EWRmbs54IL
  3YYecuMFjSwP6c9C3We5rdBBDCsWBruiZTg54Q6c9yOlCuzYjPtF5QGO1b5V
]])
local P521 = wrap("PUBLIC KEY", [[
  MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBPEgkYmWxMIRAJ1hSY8UgqGOmcNeIf8TlRaIS0q/SQz8kFAwXl/CYPjBlu/a0CbJ3
  QUNIupAjo1AD9VsZ806AZ54B9+ESILZlEI+VcybIW2aCs1TfcpFszSx3xA+SBaxSZTBazROzjWWAwn2xFACZCumn4xs1iApJPL3+
  Lpq/HL6fTgk=
]])
local ED25519 = wrap("PUBLIC KEY", [[
  MCowBQYDK2VwAyEAtFli5b34H8pRY6nhHq3ehBRB7VC+R8OY9wxfGToy1sg=
]])

local function token(text)
  return (text:gsub("%s+", ""))
end

return {
  { algorithm = "RS256", key = RSA, token = token [[
    eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJSUzI1NiIsImV4cCI6NDEwMjQ0NDgwMH0.oa3AH-SI1Y3yt9CD8nS
    YPr50FraR5Dlq2D4wCHYqqv5Fats6_2yVKvAx94GQQP84f0J5sTy6OoF-yZlyCIdr_JYT7wannS99sTP3owXn2KAJbsdJJ68vU90
    9ge-3QG35_Vh1bvx8l9n2uqdCAJmQC0iQKEW7RDF1py_iA0C4zLYkWN7oV1TzvrpOiIbQj0DJV-TuqsR08zegOCCHpG-gzM57xiS
    q-piqGPTxC7LnZMK0PNoi-0PXHSlJqVp-V-8GdaEwK171TbPoKHrxmeNdNqzcx2HzscwNxdOpL_sMTkk_Lvf2stmuAbfotp0CEuC
    Iqct7vT9cZHKNwu-agDpf9w
  ]] },
  { algorithm = "RS512", key = RSA_PKCS1, token = token [[
    eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJSUzUxMiIsImV4cCI6NDEwMjQ0NDgwMH0.Kb-gH0pHvB-V5Aw419c
    EsZ4Y9bvui2OIRaOa4A78hrawG1CToGMuDtXcvfQlpkOwfIy1V-ipGWz6LlJshuSMIOgl83XW8P0zHYlhaiKe3QaEKrwZyqxvXmx
    90Ra2-MjR3mwvdKBiTn5Eya1aZxzJxLlpC_XihJi7qVcFdGJqofgYkmjDceyuGHSBllieMexVsJyhTZjIdSUGC37LbYt45XK7d33
    4XYFtCEnNYKeYd3F_1SUx25qUo7rGvos15EPqnsoN7u_-YnOXFjqMVep3dQEkqAdE8_ssrFmxUK6XLBcPbqYoezFbs1beYSk7YNr
    aZiUn_i3XeF4xWvWJ6MXqrA
  ]] },
  { algorithm = "PS256", key = RSA, token = token [[
    eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJQUzI1NiIsImV4cCI6NDEwMjQ0NDgwMH0.bjjLtwSErUKzuOXA5yI
    bdMpie8ooWDWY2vTA0JVEX-eplWUpnJTanJTH8pO1gTgLx0ezbc8vZ74BpjQ_OGN1fHn6bAH_-kHtIWzVkI-_c43CWsnRn0cerRR
    0AquNbqhwizH4nwc8Laqhbu0sPAjCTv_z1mLm2woBxXwzuUDHvVmdS9-NvscNaH3fJOWtGQKg6vdG88WlaR8miqxW-gXnmy2KV0Z
    Z84y0ZBwS3oQINL5mbOn14gkQEitmJBzYyUAkEPdB9CAYJyNXGGdAG0jdJIFmo6O7cLUvqDkmGReG1Ysyex3KiGnbc26-2-SWXmD
    JEH3O9g5V2nUJNRAj_hYw2A
  ]] },
  { algorithm = "ES256", key = P256, token = token [[
    eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJFUzI1NiIsImV4cCI6NDEwMjQ0NDgwMH0.bchVZrL7Bi5M3t2dcKQ
    uHsMkuX1ptE2ss4O9Rbul94PLw90xln-cbu2v17kEQg4WUObDKK3dOx1fNP1sdfBE3A
  ]] },
  { algorithm = "ES384", key = P384, token = token [[
    eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJFUzM4NCIsImV4cCI6NDEwMjQ0NDgwMH0.-4_ztRUEi8n5KJNcLK2
    IzXTOTX6i05eeEzpL7jhxXzqyI0-rIKGaOygE5XfQ117oOj7xv2bZxdtxs7iZNa8gi5kkDyz_OM_0EroYoxxVytlgcH_4Ka7fcFe
    Oh_x3ZyOO
  ]] },
  { algorithm = "ES512", key = P521, token = token [[
    eyJhbGciOiJFUzUxMiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJFUzUxMiIsImV4cCI6NDEwMjQ0NDgwMH0.AV8EGF2iyRxpgfDeBIg
    KHhzeuydMJU_oIIMIakQT4mhAz0N3AqjURFlMA0INDOzn-AuNaCdRRr8sdcW5_lzeJYxyANXU8Yv9ojpgom37FbpC8veBztkDnZ3
    34fs8l33xUUhphDT9gqCO-j1Ezrd3b5iUMq9kPJ4VzPyg6GMqaSYLNP7w
  ]] },
  { algorithm = "EdDSA", key = ED25519, token = token [[
    eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJFZERTQSIsImV4cCI6NDEwMjQ0NDgwMH0.rzJHsXw__uEkmL_Le1e
    tqEJCBausL3oFsw6EVDozH82gttJiK4SiPUlC_UVJw6XQj2ywy8RoNEgh3Us-5gQeAQ
  ]] },
}
