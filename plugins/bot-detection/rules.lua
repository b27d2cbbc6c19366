-- How robots name themselves in User-Agent: PCRE patterns, asked in this order.
-- Not libraries and tools (curl, python-requests, SDKs): these are what an API is for.
-- Invariant: every pattern is written for a whole User-Agent and compiles with the options "jo".

return {
  -- A name that ends in "bot": Googlebot/2.1, bingbot, GPTBot, Slackbot-LinkExpanding, "Some Bot". Cubot makes phones.
  [[(?i)(?<!cu)bot(?![a-z])]],
  -- What the trade is called: Baiduspider, Bytespider, "Sogou web spider", crawler4j, AhrefsSiteAudit crawler, Scrapy/2.11.
  [[(?i)spider]],
  [[(?i)crawl]],
  [[(?i)scrap(?:er|ing|y)(?![a-z])]],
  [[(?i)\b(?:web)?(?:robot|archiver|harvest(?:er)?)\b]],
  -- Search engines and archives with other names.
  [[(?i)\b(?:mediapartners-google|feedfetcher-google|google-inspectiontool|google-read-aloud|googleother|appengine-google)\b]],
  [[(?i)\b(?:google|bing)[ -]?(?:web ?)?preview\b]],
  [[(?i)\byahoo! ?slurp\b]],
  [[(?i)\b(?:ia_archiver|heritrix|nutch|htdig|httrack|teoma|larbin|blexbot|mj12)\b]],
  -- Fetchers of link previews.
  [[(?i)\b(?:facebookexternalhit|facebookcatalog|meta-externalagent|skypeuripreview|embedly|flipboardproxy)\b]],
  -- Monitors and validators.
  [[(?i)\b(?:pingdom|uptimerobot|statuscake|site24x7|newrelicpinger|w3c_validator|w3c-checklink)]],
  -- Readers of feeds.
  [[(?i)\b(?:feedburner|feedly|feedvalidator|newsblur|netvibes)\b]],
  -- Collectors for language models.
  [[(?i)\b(?:anthropic-ai|cohere-ai|cohere-training-data|diffbot|omgili|timpibot)]],
}
