/**
 * The order while it is being made: steps, and the answers, kept for this tab only.
 */

export const STEPS = ["address", "delivery", "payment"] as const;
export type Step = (typeof STEPS)[number];

const answers = new Map<string, string>();

/** What comes after a step; `null` after the last. */
export function nextStep(step: string): Step | null {
  return STEPS[STEPS.indexOf(step as Step) + 1] ?? null;
}

/** Keep the answers of one form. They stay in memory: a reload forgets them. */
export function keepAnswers(form: FormData): void {
  for (const [name, value] of form) if (typeof value === "string") answers.set(name, value);
}

/** An answer given so far, or the empty text. */
export function answer(name: string): string {
  return answers.get(name) ?? "";
}

/** What the chosen delivery costs, in cents. */
export function deliveryCents(): number {
  return answer("delivery") === "courier" ? 900 : 0;
}
