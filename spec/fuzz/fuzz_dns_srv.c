// DNS replies for SRV questions, from the network: any bytes at all.
#include <stdlib.h>

#include "io/dns_srv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dns_record_t out[8];
    unsigned n, ttl_s;
    if (dns_parse_srv(data, size, out, 8, &n, &ttl_s) != 0)
        return 0;
    for (unsigned i = 0; i < n; i++)
        free((char *)out[i].target.p);
    return 0;
}
