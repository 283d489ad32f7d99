/** A range of whole days around now, wide enough for a run over midnight. */
export function aroundNow(): { from: string; to: string } {
  const day = (offset: number): string => new Date(Date.now() + offset * 86_400_000).toISOString().slice(0, 10);
  return { from: day(-1), to: day(2) };
}
