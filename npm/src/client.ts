/** Events that a team declares once, so that the compiler knows their names and properties. */

import type { Conversion, Properties, PropertyValue } from "./types.js";

/** What each event carries: an `interface` or a `type` with the event's name as key. */
export type EventMap<Events> = {
  readonly [Name in keyof Events]: { readonly [Property in keyof Events[Name]]: PropertyValue };
};

/** Names of declared events; `$` at their beginning is ours. */
export type EventName<Events> = Exclude<keyof Events & string, `$${string}`>;

/** Properties may be left out where none is needed, and have to be where none was declared. */
export type EventArguments<Declared> = keyof Declared extends never
  ? [properties?: { readonly [undeclared: string]: never }]
  : {} extends Declared
    ? [properties?: Declared]
    : [properties: Declared];

/** The functions that take names of events. */
export interface Client<Events> {
  /** Record an event as it was declared. */
  track<Name extends EventName<Events>>(name: Name, ...properties: EventArguments<Events[Name]>): void;
  /** Record that a goal was reached that is a declared event, with its properties. */
  conversion<Name extends EventName<Events>>(name: Name, properties?: Conversion & Partial<Events[Name]>): void;
  page(properties?: Properties): void;
}
