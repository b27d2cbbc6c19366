-- SHA-1 against published vectors and block boundaries.

local sha1 = require("moongate.util.sha1")

describe("sha1", function()
  for text, digest in pairs({
    [""] = "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    ["abc"] = "a9993e364706816aba3e25717850c26c9cd0d89d",
    ["abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"] = "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
    [("a"):rep(200)] = "e61cfffe0d9195a525fc6cf06ca2d77119c24a40",
  }) do
    it("hashes " .. #text .. " bytes", function()
      assert.equal(digest, sha1.hex(text))
    end)
  end

  it("tells apart texts around the block limits", function()
    local seen = {}
    for length = 50, 70 do
      local digest = sha1.hex(("x"):rep(length))
      assert.is_nil(seen[digest])
      assert.equal(40, #digest)
      seen[digest] = true
    end
  end)
end)
