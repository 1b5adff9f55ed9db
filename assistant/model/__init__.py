"""Video model: frozen encoder, Q-Former, frozen LLM."""

import logging

# peft imports bitsandbytes, which asks in vain for kernels that only a 4-bit LLM on a CPU would use
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
# 8 bit computes in fp16, whatever it is given; bitsandbytes says so at every layer
logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
