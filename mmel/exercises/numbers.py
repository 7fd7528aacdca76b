"""Exercises whose answer is a number: predict it, derive it, then look."""

from __future__ import annotations

import math

from .kinds import Exercise, Numeric

GATE = 3 * math.log1p(math.e) / math.sqrt(768)  # the largest sum over three scales
RATIO = (1 + 2 / (1 + math.exp(-GATE))) / (1 + 2 / (1 + math.exp(GATE)))

NUMBERS = (
    Exercise(
        "tokens", "How many tokens?", 5,
        "The paper uses ViT-B/32 on pictures of 224 by 224 pixels. How many tokens does its image tower read?",
        Numeric(50, 0, (
            (49, "Those are the patches. One token more is read: the class token."),
            (197, "That is what the paper prints, and what a ViT-B/16 reads. Count patches of 32 pixels."),
            (196, "Those are the patches of 16 pixels, without the class token."),
            (7, "That is one side, in patches."),
        ), "How many patches of 32 pixels fit along one side, and what is added to them?"),
        praise="Sec. 3.1 prints 197, the tokens of ViT-B/16: one of the two is not what was run.",
    ),
    Exercise(
        "3", "Half of a token", 10,
        "Let $T$ of {eq}`eq-3` have no biases, and its layer norm no $\\epsilon$. What is the largest absolute "
        "difference "
        "between an entry of $T(x)$ and the same entry of $T(0.5\\,x)$? Predict first, then derive it.",
        Numeric(0, 1e-9, (
            (0.5, "A layer norm follows: what does it do to a vector that is half as long?"),
            (2, "A layer norm follows: what does it do to a vector that is half as long?"),
        ), "Follow the factor 0.5 through Linear, ReLU, Linear; then ask what LayerNorm does with a common factor."),
        equations=("3",),
        praise="ReLU and linear maps pass a positive factor on, and the layer norm takes it away. The "
        "three scales of Eq. 1 "
        "do nothing here; with biases they do next to nothing.",
    ),
    Exercise(
        "4", "How large is T?", 5,
        "$T$ of {eq}`eq-4` goes from $d$ to $2d$ and back to $d$, then through a layer norm. For $d = 768$: how many "
        "numbers does it hold, with the biases of both linear layers and the gain and bias of the layer norm?",
        Numeric(2363136, 0, (
            (2359296, "Those are the two matrices. Add the biases and the layer norm's two vectors."),
            (2361600, "The layer norm has a gain and a bias too."),
            (1179648, "That is one of the two matrices."),
            (2362368, "The layer norm has two vectors, a gain and a bias."),
        ), "Two matrices, two bias vectors, and two vectors of the layer norm: of which lengths?"),
        equations=("4",),
        praise="More than two million numbers, and the paper names nothing that would train them.",
    ),
    Exercise(
        "5-bound", "The largest entry of A", 5,
        "What is the largest value that an entry of $A$ in {eq}`eq-5` can have, for $d = 768$?",
        Numeric(1 / math.sqrt(768), 1e-4, (
            (1, "That is the largest cosine. It is divided by something."),
            (math.sqrt(768), "Divide by the root, do not multiply."),
            (1 / 768, "By the root of d, not by d."),
        ), "$F_{norm}$ makes unit vectors: what is the largest product of two of them, and what divides it?"),
        equations=("5",),
        praise="Ordinary attention divides products of long vectors by √d; here the vectors have unit "
        "length, and little is left.",
    ),
    Exercise(
        "7", "A weight for all", 5,
        "All layer weights are equal, as the paper's values are. {eq}`eq-7` multiplies $A$ by 1.3133. Of 49 patches "
        "ranked by "
        "the mean of their row of $A$: how many change their place?",
        Numeric(0, 0, ((49, "A common positive factor changes every value. Does it change their order?"),),
                "Does a common positive factor change an order?"),
        equations=("7",),
        praise="A common positive factor keeps every order. Only weights that differ between layers could do more.",
    ),
    Exercise(
        "9-bound", "At most how much?", 5,
        "In {eq}`eq-9` let $\\alpha = 2$. Whatever the semantic levels are: by which factor can a patch's value "
        "grow at most?",
        Numeric(3, 0, (
            (2, "That is alpha alone. What does the bracket begin with?"),
            (1, "That is the least. The largest comes where the sigmoid is close to 1."),
            (5, "The levels are summed inside the sigmoid, so three scales do not count three times."),
        ), "Put the largest value of a sigmoid into the bracket."),
        equations=("9",),
        praise="And at least 1: nothing that Grad-ECLIP sets to zero can come back.",
    ),
    Exercise(
        "9-ratio", "How flat is the gate?", 30,
        "The gate of a patch is the bracket of {eq}`eq-9`. Let its semantic level be the mean of its row of the "
        "weighted $A$, averaged over the layers; $\\theta = 1$, three scales, $d = 768$, $\\alpha = 2$. "
        "Whatever $T$ and the picture are: by which factor can the gates of two patches differ at most? "
        "Three digits after the point.",
        Numeric(RATIO, 6e-4, (
            (3, "That is the bound for any levels. Here they are small: bound them first."),
            (1 + 2 / (1 + math.exp(-GATE)), "That is the largest gate. Divide it by the smallest."),
            (1.07111, "Close: that is the sigmoid's straight line at 0. Put the sum into the sigmoid itself."),
            (1.0188, "You have taken one scale; three are summed inside the sigmoid."),
        ), "Bound one level by softplus(1) / √768, add three, and put plus and minus the sum into the sigmoid."),
        equations=("9",),
        praise="A few per cent. Two patches change places only if Grad-ECLIP's values are closer than that.",
    ),
    Exercise(
        "text-mask", "Who may look at whom?", 5,
        "A caption has five tokens; start and end of text stand around it. The text tower's causal mask lets a "
        "position look at itself and at what stands before it. How many entries of one attention pattern over "
        "these positions can differ from 0?",
        Numeric(28, 0, (
            (49, "That is every pair, as in the image tower. The mask forbids to look ahead."),
            (21, "A position looks at itself too."),
            (15, "The start and the end of the text are positions as well."),
        ), "How many positions are there, and how many may the first, the second, the last of them look at?"),
        praise="Only the last row, the end of the text, sees the whole sentence: there the embedding is read.",
    ),
    Exercise(
        "text-relu", "Where the ReLU stands", 10,
        "Two blocks say about three words: $s_1 = (2, -1, 3)$ and $s_2 = (-3, 2, 1)$, each number the sum over the "
        "channels of {eq}`eq-8`'s product. Make the map as Grad-ECLIP's official code makes it for *texts*, and "
        "divide it by its sum. What is the share of the third word?",
        Numeric(0.8, 5e-4, (
            (0.5, "That is a ReLU for each block and then the sum, as for pictures. For texts the ReLU comes last."),
            (1, "That leaves the first word's -1 in the sum: a ReLU is still to come."),
            (4, "That is the value. Divide it by the sum of the map."),
        ), "Add the two blocks, then set what is below 0 to 0, then divide by the sum."),
        equations=("8",),
        praise="With a ReLU for each block it would be 0.5: the block that argues against a word would not be heard.",
    ),
    Exercise(
        "4.2-drop", "Confidence drop by hand", 10,
        "Three pictures score 0.8, 0.6 and 0.5. With only the salient regions kept they score 0.6, 0.7 and 0.5. "
        "What is the mean "
        "confidence drop, as `mmel.metrics.confidence_drop` has it?",
        Numeric(0.2 / 3, 5e-4, (
            (0.1 / 3, "A rise is no negative drop: it counts as 0."),
            (0.25 / 3, "That is relative to the score before. Here the difference itself counts."),
            (0.2, "That is the sum. Three pictures take part."),
            (100 * 0.2 / 3, "That is in per cent; give a fraction."),
        ), "A drop of each picture first, none of them below 0; then the mean."),
        praise="The second picture, which gained, counts in the confidence increase instead.",
    ),
    Exercise(
        "table-2", "A mark and a number", 5,
        "Table 2, prediction insertion @1: 0.3727, 0.3347, 0.3528, 0.3672 and, underlined, MMEL's 0.3527. Which "
        "place does MMEL take?",
        Numeric(4, 0, ((2, "That is what the underline says. Sort the five numbers."),
                       (3, "Look at the fourth digit of 0.3528.")), "Sort the five numbers, the largest first."),
        praise="Read the numbers, not the marks. The ledger of claims does it for every mark of the table.",
    ),
)  # fmt: skip
