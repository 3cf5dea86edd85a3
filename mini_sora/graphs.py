"""CUDA graphs: a small network's thousands of kernels run faster than Python launches them one by one;
recorded once, they are launched all at once. What is recorded keeps its memory, and is only ever replayed.
"""

from collections import Counter

import torch


class Recorded:
    """Calls of a module on a GPU: once inputs of some shapes have come a few times, forward and backward
    of such inputs are recorded, and replayed from then on.

    make: () -> the module, a new one of the same weights for each recording, which changes it; most: how
    many are made, as each has gradients of its own. All recordings share the rest of their memory, so the
    backward of a call must be done before the next call.
    """

    def __init__(self, make, after=5, most=64):
        self.make, self.after, self.most, self.plain = make, after, most, make()
        self.seen, self.recorded, self.pool = Counter(), {}, torch.cuda.graph_pool_handle()

    def __call__(self, *inputs):
        shapes = tuple(x.shape for x in inputs)
        self.seen[shapes] += 1
        if self.seen[shapes] == self.after and len(self.recorded) < self.most:
            samples = tuple(x.clone() for x in inputs)
            self.recorded[shapes] = torch.cuda.make_graphed_callables(
                self.make(), samples, allow_unused_input=True, pool=self.pool
            )
        return self.recorded.get(shapes, self.plain)(*inputs)


class RecordedStep:
    """The step of an optimizer on a GPU that takes its rates as tensors. The first few make its state;
    then one is recorded, with gradients and rates of its own that are filled in before each replay."""

    def __init__(self, optimizer, after=3):
        self.optimizer, self.plain, self.graph = optimizer, after, None
        self.params = [p for group in optimizer.param_groups for p in group["params"]]
        self.rates = [torch.zeros((), device=self.params[0].device) for _ in optimizer.param_groups]

    def __call__(self):
        for rate, group in zip(self.rates, self.optimizer.param_groups, strict=True):
            rate.fill_(group["lr"])
        if self.plain:
            self.plain -= 1
            return self._step([p.grad for p in self.params])
        if self.graph is None:
            self.gradients = [torch.zeros_like(p) for p in self.params]
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self._step(self.gradients)
        torch._foreach_copy_(self.gradients, [p.grad for p in self.params])
        return self.graph.replay()

    def _step(self, gradients):
        """A step by these gradients and the rates that are tensors."""
        groups = self.optimizer.param_groups
        own = [p.grad for p in self.params], [group["lr"] for group in groups]
        self._give(gradients, self.rates)
        self.optimizer.step()
        self._give(*own)

    def _give(self, gradients, rates):
        for p, gradient in zip(self.params, gradients, strict=True):
            p.grad = gradient
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
