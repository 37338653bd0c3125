"""Tokens from the policy model: a small inference engine with a prefix cache.

    SampleRequest -> LocalSampler.sample
                       Prefiller.prefill   prompts to PrefilledPrompt: keys, values, next logits
                         PrefixCache       a beginning that was read before is not read again
                       decode_rows         one token a step for every ActiveRow that goes on
                         KVBuffer          memory of one batch, laid out anew for the next
                  -> Completion

`sampling.py` chooses a token from logits by a number that follows from the seed alone, so that all
ways give the same tokens. `endpoint.py` is the sampler of a served model, `collect.py` drives
episodes through a sampler.
"""
