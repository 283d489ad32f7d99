/**
 * Where a visit came from: the campaign in the address of a page, and the site that led there. It
 * stays with the visit, so that a purchase on its tenth page still knows the campaign.
 *
 * As a text, `&utm_source=news&utm_medium=email https://t.co`; either part may be empty. There is no `|` in it,
 * for the entry of `identity`.
 */

/** Longest campaign that is kept. */
const CAMPAIGN_MAX = 500;

/** Where a page was come to from. A page without a campaign that was led to by its own site tells nothing new. */
export function arrive(address: string, referrer: string, known = ""): string {
  const marks = address.replace(/#.*/s, "").match(/[?&]utm_[^&|\s]+/g) ?? [];
  const campaign = marks.map((mark) => `&${mark.slice(1)}`).join("").slice(0, CAMPAIGN_MAX);
  const [origin, host] = /^https?:\/\/([^/?#|\s]+)/.exec(referrer) ?? [];
  const elsewhere = host === location.host ? "" : (origin ?? "");
  return campaign || elsewhere ? `${campaign} ${elsewhere}` : known;
}

/** The address of a page with what its visit came from, and the referrer. An address with a campaign of its own keeps it. */
export function carry(address: string, arrival: string): [url: string, referrer: string] {
  const [campaign = "", referrer = ""] = arrival.split(" ");
  const [place = "", ...fragment] = address.split(/(?=#)/);
  const more = /[?&]utm_/.test(place) ? "" : place.includes("?") ? campaign : campaign.replace("&", "?");
  return [place + more + fragment.join(""), referrer];
}
