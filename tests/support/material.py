"""Written material for departments: good, thin, beside the point. Tests compare what is said of them, never numbers."""

from __future__ import annotations

GOOD_STORY = (
    {
        "content": "The story has three acts. In the first act Detective Elena Marsh finds a drowned banker in Harbour "
        "Street, and the inciting incident is a ticket in his pocket: it bears her own name. The midpoint turns the plot "
        "when she discovers that her partner Cole sold the evidence. The climax is a confrontation on the roof of the "
        "Meridian Hotel on 31 October 1927, and the resolution leaves the question of guilt open.",
        "summary": "Three-act structure of the mystery, with its turning points",
        "context": "Mystery thriller, 1927",
    },
    {
        "content": "What is at stake is more than a murder. If Elena does not reveal who paid for the fire at the cannery, "
        "forty families lose their homes in winter. Every obstacle grows from her own secret: she burned a letter as a "
        "child, and the antagonist, Judge Aldous Crane, knows it. “You and I keep the same kind of silence,” he tells her "
        "before the last act. The twist is that the letter was a warning meant for her mother.",
        "summary": "Stakes, obstacles and the antagonist's hold over Elena",
        "context": "Plot notes after the second writers' room",
    },
    {
        "content": "The central theme is that truth costs more than silence. Water is the recurring motif: rain hides what "
        "people do, the harbour gives it back. Guilt and forgiveness are set against each other in the subplot of Cole, "
        "who asks for redemption and is refused. Each sequence ends with someone choosing between loyalty and justice, so "
        "that the meaning of the ending is earned and not explained.",
        "summary": "Themes of truth, guilt and forgiveness; water as motif",
        "context": "Theme document",
    },
    {
        "content": "Sequence 5 plays in the archive of the Ledger. Elena trades a clue about Crane's shipping company for "
        "the photograph that proves the fire was set at 2:40 in the morning. The scene is built as a setup for the final "
        "payoff: the clock in the picture is the one that stops on the roof. Her escape through the press hall raises the "
        "tension before the midpoint, and costs her the trust of the editor, Ruth Adeyemi.",
        "summary": "Sequence 5: the photograph, and what Elena pays for it",
        "context": "Scene outline",
    },
)

THIN_STORY = (
    {"content": "A detective looks for a killer. There is a twist at the end.", "summary": "", "context": ""},
)

RECIPES = (
    {
        "content": "Peel four large onions and slice them finely. Melt 60 grams of butter in a heavy pan and let the onions "
        "soften for forty minutes, stirring now and then, until they are deep brown. Add a spoonful of flour, pour in a "
        "litre and a half of beef stock from Maison Lefèvre, and let the soup simmer. Toast eight slices of bread, cover "
        "them with grated Gruyère, and brown them under the grill before you serve the bowls at the table.",
        "summary": "Onion soup for eight guests",
        "context": "Cookery book, page 112",
    },
    {
        "content": "For the pastry, rub 250 grams of cold butter into 400 grams of flour, bind it with two eggs and leave it "
        "in the refrigerator overnight. Mrs Okafor rolls it thinner than the recipe asks for and bakes it blind with dried "
        "beans. The filling is lemon juice, sugar and cream, whisked over hot water and poured while it is still warm. "
        "Dust the tart with sugar and serve it with raspberries from the garden in Kent.",
        "summary": "Lemon tart with raspberries",
        "context": "Cookery book, page 140",
    },
)

CONTRADICTING = (
    {
        "content": "Elena Marsh is 34 years old. The film runs for 96 minutes. Judge Crane is alive at the end of the story.",
        "summary": "Facts of the outline",
        "context": "Draft 2",
    },
    {
        "content": "Elena Marsh is 41 years old. The film runs for 120 minutes. Judge Crane is dead at the end of the story.",
        "summary": "Facts of the outline, revised",
        "context": "Draft 3",
    },
)

ABOUT = {
    "story": "The plot turns on a betrayal in the second act, and the theme of redemption carries the climax.",
    "character": "Mara's backstory explains her flaw; her arc moves from distrust of her brother to a bond with a mentor.",
    "production": "The budget of 4 million covers a crew of sixty, and the schedule allows 32 shooting days with a contingency.",
    "visual": "The camera stays handheld with a wide lens, backlight and a monochrome palette; smoke and rain are practical.",
    "audio": "Foley and ambience carry the alley, the composer scores a jazz piano motif, and dialogue is recorded by boom.",
    "editing": "The rough cut needs a tighter pace: trim the montage, replace the dissolve by a match cut, check eyelines.",
    "marketing": "The trailer and poster campaign on social media targets an audience of teenagers before the premiere.",
    "legal": "Copyright clearance, the chain of title and a signed release form are reviewed by counsel; the contract has a "
    "warranty clause.",
    "technical": "The server cluster has network storage with failover; the software pipeline pins each plugin version.",
    "post-production": "The colourist applies a LUT before grading in HDR; VFX compositing and rotoscope plates precede the "
    "final mix in Atmos.",
    "distribution": "After a limited theatrical release the holdback ends and an SVOD platform takes the territory; a DCP is "
    "delivered to each exhibitor.",
    "archive": "Every asset gets a checksum and catalogue metadata at ingest; LTO tapes are migrated and kept in a vault for "
    "preservation.",
}
"""A sentence that each department would write."""
