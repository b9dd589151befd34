"""What a model in training makes of a few fixed sentences, shown at every validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from translator.model import Transformer
from translator.scoring import aligning_head
from translator.training import Trainer
from translator.translate import Translator


@dataclass
class Samples:
    """Prints translations; on a TensorBoard, the first one's cross-attention stands beside them as a picture."""

    trainer: Trainer
    sentences: Sequence[str]

    def __call__(self, step: int, model: Transformer) -> None:
        """Show them; see `Trainer.train`."""
        report = self.trainer.report
        translator = Translator(model, self.trainer.english, self.trainer.korean, known_words=set())
        pairs = list(zip(self.sentences, translator.translate(self.sentences), strict=True))
        for english, korean in pairs:
            report.say(f"    {english}  →  {korean}")
        if report.board is not None and pairs:
            from translator.inspection.figures import draw_head  # matplotlib, which nothing else here needs

            rows = "".join(f"| {english} | {korean} |\n" for english, korean in pairs)
            report.board.add_text("translations", f"| English | Korean |\n|---|---|\n{rows}", step)
            head = aligning_head(model, self.trainer.validation_examples)
            picture = draw_head(translator.attention(self.sentences[0]), *head)
            report.board.add_figure("cross-attention", picture, step, close=False)
