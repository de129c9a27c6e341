"""What an extractor of machine-sound embeddings is trained with (Kuroyanagi et al. 2022, section 2)."""

from mindspore import Tensor, nn
from mindspore.common.initializer import Constant, Uniform


class SoundHeads(nn.Cell):
    """Section, machine and domain of a sound, from its embedding.

    Args:
        embedding_size: width of the embedding.
        n_sections: K.
        with_domain: whether there is a head for the domain.

    Input (N, embedding_size) float32. Output: section logits (N, K), linear; the machine's logit (N,),
    an affine function of the embedding's squared norm; with ``with_domain`` the domain's logit (N,),
    linear.

    Source: Kuroyanagi et al. 2022, g_section, g_affine and g_domain of Eq. 1, 2 and 5.
    """

    def __init__(self, embedding_size: int, n_sections: int, with_domain: bool) -> None:
        super().__init__()
        self.embedding_size = embedding_size
        self.with_domain = with_domain
        start = Uniform(embedding_size**-0.5)
        # Linear, not affine: no bias.
        self.section = nn.Dense(embedding_size, n_sections, weight_init=start, has_bias=False)
        # Normals lie away from the centre (Figure 2): a logit that falls with the norm at the start
        # would have to turn round.
        self.machine = nn.Dense(1, 1, weight_init=Constant(1.0), bias_init=Constant(-1.0))
        if with_domain:
            self.domain = nn.Dense(embedding_size, 1, weight_init=start, has_bias=False)

    def construct(self, embedding: Tensor) -> tuple[Tensor, ...]:
        # As a mean it is as large as one number squared, whatever the size; the affine map can undo it.
        norm = (embedding * embedding).mean(1, keep_dims=True)
        logits = self.section(embedding), self.machine(norm).squeeze(1)
        return (*logits, self.domain(embedding).squeeze(1)) if self.with_domain else logits


class OutlierExposureNet(nn.Cell):
    """An extractor with its heads: what is trained; the extractor alone is what is used.

    Args:
        extractor: log-mels -> embedding (N, ``extractor.embedding_size``).
        n_sections: K, of the target machine.
        with_domain: as in ``SoundHeads``.

    Input (N, 1, mel bands, frames) float32. Output (embedding, section logits, machine logit), and with
    ``with_domain`` (…, domain logit): what ``losses.outlier_exposure`` takes.
    """

    def __init__(self, extractor: nn.Cell, n_sections: int, with_domain: bool) -> None:
        super().__init__()
        self.extractor = extractor
        self.heads = SoundHeads(extractor.embedding_size, n_sections, with_domain)

    def construct(self, x: Tensor) -> tuple[Tensor, ...]:
        embedding = self.extractor(x)
        return (embedding, *self.heads(embedding))
