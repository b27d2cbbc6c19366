// mock_answers.h - what mock_llm answers with: OpenAI's shapes and about as many header lines as
// api.openai.com sends. Data only; the framing and the clock are in mock_llm.c.
#pragma once

/* About as many headers as api.openai.com sends. */
#define COMMON_HEADERS                                                                         \
    "date: Sat, 22 Nov 2025 10:00:00 GMT\r\n"                                                  \
    "access-control-expose-headers: X-Request-ID\r\n"                                          \
    "openai-organization: org-bench\r\n"                                                       \
    "openai-processing-ms: 412\r\n"                                                            \
    "openai-version: 2020-10-01\r\n"                                                           \
    "x-request-id: req_0123456789abcdef0123456789abcdef\r\n"                                   \
    "strict-transport-security: max-age=31536000; includeSubDomains; preload\r\n"              \
    "cf-cache-status: DYNAMIC\r\n"                                                             \
    "x-content-type-options: nosniff\r\n"                                                      \
    "server: cloudflare\r\n"                                                                   \
    "cf-ray: 8e6a1b2c3d4e5f60-AMS\r\n"                                                         \
    "alt-svc: h3=\":443\"; ma=86400\r\n"

static const char json_body[] =
    "{\"id\":\"chatcmpl-AWkq7Zy1b2c3d4e5f6g7h8i9j0klm\",\"object\":\"chat.completion\","
    "\"created\":1732269600,"
    "\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
    "\"assistant\",\"content\":"
    "\"A gateway sits between your application and the model provider. It keeps the provider's "
    "key out of the "
    "client, applies a limit to each caller, and counts the tokens used.\\n\\nIn short: one "
    "place to control cost, "
    "access and "
    "failures.\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
    "\"prompt_tokens\":57,\"completion_tokens\":92,\"total_tokens\":149,\"prompt_tokens_"
    "details\":{"
    "\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}},\"service_"
    "tier\":\"default\","
    "\"system_fingerprint\":\"fp_0123456789\"}";

#define CHUNK_PRE                                                                              \
    "data: "                                                                                   \
    "{\"id\":\"chatcmpl-AWkq7Zy1b2c3d4e5f6g7h8i9j0klm\",\"object\":\"chat.completion.chunk\"," \
    "\"created\":1732269600,\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\","     \
    "\"system_fingerprint\":\"fp_0123456789\",\"choices\":["

static const char sse_head[] =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n" COMMON_HEADERS "\r\n";
static const char ev_role[] = CHUNK_PRE "{\"index\":0,\"delta\":{\"role\":\"assistant\","
                                        "\"content\":\"\",\"refusal\":null},\"logprobs\":null,"
                                        "\"finish_reason\":null}],\"usage\":null}\n\n";
static const char ev_tok_a[] = CHUNK_PRE "{\"index\":0,\"delta\":{\"content\":\" @";
static const char ev_tok_b[] =
    "\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}\n\n";
static const char ev_end[] = CHUNK_PRE "{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_"
                                       "reason\":\"stop\"}],\"usage\":null}\n\n";
static const char ev_usage[] =
    CHUNK_PRE "],\"usage\":{\"prompt_tokens\":57,\"completion_tokens\":92,\"total_tokens\":149,"
              "\"prompt_tokens_details\":{\"cached_tokens\":0},\"completion_tokens_details\":{"
              "\"reasoning_tokens\":0}}}\n\n";
static const char ev_done[] = "data: [DONE]\n\n";
