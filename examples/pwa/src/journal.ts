/** What the shop publishes: short essays on writing things down. */

import type { Drawing } from "./art";

export interface Article {
  id: string;
  title: string;
  author: string;
  /** Who may read it; `members` is only a label here, nothing is locked. */
  tier: "free" | "members";
  minutes: number;
  teaser: string;
  paragraphs: readonly string[];
  drawing: Drawing;
}

export const ARTICLES: readonly Article[] = [
  {
    id: "the-edge-of-the-sheet",
    title: "The edge of the sheet",
    author: "Ines Varga",
    tier: "free",
    minutes: 4,
    teaser: "Why the untidy border of a page of handmade paper is the part worth keeping.",
    drawing: "sheets",
    paragraphs: [
      "Lift a mould out of a vat of pulp and for two seconds nothing is decided. The water runs through the wire, the fibres look for one another, and a thin wet cloth of cotton begins to hold. Then you take away the wooden frame that kept the pulp in, and where the frame was, the edge is ragged.",
      "For a long time that edge was a fault. Binders cut it away, because a straight block of pages is easier to turn and easier to gild. When machines began to make paper by the mile, all edges were straight, and the ragged one became a sign that a person had stood at the vat.",
      "I keep it for a plainer reason. An edge like that tells you where the sheet ends by touch alone. In a notebook you write without looking, on a train or in a dark theatre, your thumb knows.",
      "There is a lesson in it about finishing things. The middle of a sheet is the same in every workshop. What differs is how we let go of it: some trim, some do not, and the ones who do not are seldom careless. They have only decided that the end should look like what happened.",
    ],
  },
  {
    id: "a-month-without-search",
    title: "A month without search",
    author: "Tobias Lind",
    tier: "members",
    minutes: 6,
    teaser: "I wrote everything in one notebook and gave it an index. Then I tried to find things.",
    drawing: "notebook",
    paragraphs: [
      "The rule was simple: one notebook, every note in it, and no photographs of pages. At the back, an index in pencil, a line for each subject and the page numbers after it. I lasted thirty-one days and I still do the second half of it.",
      "The first week I wrote far too much. A keyboard forgives; a page does not grow. By the second week I had begun to think before the pen came down, which is a strange feeling if you have not had it for some years, like hearing a clock in a room you took for silent.",
      "The index was the surprise. I expected a chore. What I had instead was a short list of what I really think about, with a count. Eleven entries under one friend's name and two under my own work told me something that no search box had offered, because I would never have typed the question.",
      "I lost one thing in the month: an address, which I had written on a paper bag. I found it again by asking the person who lives there.",
      "So no, I did not stay off search. But on the last day of each month I make the index, and I read it before anything else.",
    ],
  },
  {
    id: "ink-that-changes-its-mind",
    title: "Ink that changes its mind",
    author: "Ines Varga",
    tier: "free",
    minutes: 3,
    teaser: "Oak gall ink goes on grey and turns black while you watch. Here is what happens.",
    drawing: "ink",
    paragraphs: [
      "A gall is an oak's answer to a wasp. The insect lays an egg in a bud, the tree grows a small hard apple around it, and the apple is full of tannin. Crush it, let it stand in rain water, add a little iron, and you have an ink that most of our archives are written in.",
      "Fresh from the pen it is pale, close to weak tea. The iron has not yet met the air. In the next minutes it does, and the line darkens under your eyes, first at the ends where the ink lies thickest.",
      "That is why a letter written with it seems to be read twice: once by the writer, who sees grey, and once by everyone after, who see black.",
    ],
  },
  {
    id: "letters-to-the-next-tenant",
    title: "Letters to the next tenant",
    author: "Marguerite Oduya",
    tier: "members",
    minutes: 5,
    teaser: "In nine flats I left nine envelopes. Four of them wrote back.",
    drawing: "envelope",
    paragraphs: [
      "It began as an apology. The window in the small room would not close, I was leaving, and the agent had stopped answering. So I wrote down the trick with the knife and left it in the cutlery drawer, in an envelope, because a bare sheet looked like rubbish.",
      "In the next flat I wrote more. Which neighbour lends a ladder. What time the sun comes into the kitchen in February. That the noise at five is the baker and that it stops being noise after a week.",
      "I have done it nine times now. Four people found the address I put at the bottom and answered, one after six years. She had moved out herself by then, and had left my letter where it was, with her own behind it.",
      "There must be a pile in that drawer now. I like to think of it as a very slow conversation among people who will never sit in the room together, about a window.",
    ],
  },
];

/** The article with this id, if we published it. */
export function findArticle(id: string): Article | undefined {
  return ARTICLES.find((article) => article.id === id);
}
