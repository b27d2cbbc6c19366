-- Configuration of ai-mock: what the pretended provider says, how slowly, and how it fails.
-- It is NOT a configuration of a real provider (ai-proxy).
-- Invariant: every field has a working default; `config: {}` is a provider.

local typedefs = require "moongate.schema.typedefs"

return {
  name = "ai-mock",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        { reply = {
          description = "The answer to every request; unset: a sentence that quotes the client.",
          type = "string", required = false, len_min = 0,
        } },
        { models = {
          description = "Names that GET /v1/models lists; the first is used when none is asked.",
          type = "array", required = true, default = { "mock-model" }, len_min = 1,
          elements = { type = "string" },
        } },
        { delay_ms = {
          description = "Milliseconds before the first byte of an answer.",
          type = "integer", required = true, default = 0, between = { 0, 600000 },
        } },
        { chunk_delay_ms = {
          description = "Milliseconds between two events of a stream.",
          type = "integer", required = true, default = 0, between = { 0, 600000 },
        } },
        { embedding_dimensions = {
          description = "Length of a vector, when the request does not say.",
          type = "integer", required = true, default = 8, between = { 1, 4096 },
        } },
        { truncate_after = {
          description = "Ends streams after this many events, without the terminal one.",
          type = "integer", required = false, gt = -1,
        } },
        { max_request_body_size = {
          description = "Largest body that is read, in bytes.",
          type = "integer", required = true, default = 8388608, gt = 0,
        } },
        { error = {
          description = "Fails every request.",
          type = "record", required = false,
          fields = {
            { status = {
              description = "Status of the answer.",
              type = "integer", required = true, default = 500, between = { 400, 599 },
            } },
            { message = {
              description = "error.message of the answer.",
              type = "string", required = true, default = "the mock provider was told to fail",
            } },
            { type = {
              description = "error.type of the answer.",
              type = "string", required = true, default = "server_error",
            } },
            { after = {
              description = "Streams send this many events first, then the error as an event.",
              type = "integer", required = false, gt = -1,
            } },
          },
        } },
      },
    } },
  },
}
