// The steps of the scenario. Each function makes the occurrences that it needs, so each can run alone (--only=name).

import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { loadVectors } from './checks.mjs';
import { routingKey } from './client.mjs';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const iso = (offsetMs) => new Date(Date.now() + offsetMs).toISOString();
const wall = (offsetMs) => iso(offsetMs).replace(/Z$/, ''); // in the zone Etc/UTC
const seconds = (from, to) => (Date.parse(to) - Date.parse(from)) / 1000;
const near = (wanted) => (found) => Math.abs(found - wanted) < 0.01;

/** An occurrence in thirty days with adults, children (four seats of them), groups and three audio guides. */
function occurrence({ run }, name, more = {}) {
  return {
    type: 'occurrence.put.v1',
    occurrence_id: `node-${run}-${name}`,
    product_id: `node-${run}-${name}`,
    starts_at: iso(30 * DAY),
    ends_at: iso(30 * DAY + 2 * HOUR),
    timezone: 'Etc/UTC',
    capacity: 12,
    ticket_types: [
      { key: 'adult', label: 'Adult', max_per_order: 8 },
      { key: 'child', label: 'Child', max_per_order: 6, pools: ['child-seats'] },
      { key: 'group', label: 'Group of four or more', min_per_order: 4, max_per_order: 8 },
    ],
    pools: [{ key: 'child-seats', capacity: 4 }],
    extras: [{ key: 'audio-guide', stock: { key: `guides-${run}-${name}`, cap: 3 } }],
    hold: {
      ttl_minutes: 15,
      lifetime_max_minutes: 60,
      extensions_max: 1,
      max_seats_per_request: 9,
      max_seats_per_hold: 9,
    },
    ...more,
  };
}

async function put(context, name, more) {
  const command = occurrence(context, name, more);
  await context.ask(`put ${name}`, command, {
    outcome: 'occurrence_stored',
    created: true,
    status: command.status ?? 'active',
  });
  return command.occurrence_id;
}

const place = (occurrence_id, items, more = {}) => ({ type: 'hold.place.v1', occurrence_id, items, ...more });
const on = (type, hold, more = {}) => ({
  type,
  occurrence_id: hold.occurrence_id,
  session_id: hold.session_id,
  hold_id: hold.hold_id,
  ...more,
});
const refused = (reason, more = {}) => ({ outcome: 'refused', reason, ...more });
const problemWith = (field) => (errors) => Array.isArray(errors) && errors.some((error) => error.field === field);
const sameText = (first, second) =>
  first.text === second.text ? [] : [`${second.text} instead of ${first.text}`];

export const steps = {
  async slots({ check }) {
    for (const { occurrence_id, routing_key } of loadVectors()) {
      const found = routingKey(occurrence_id);
      check(`routing key of ${occurrence_id}`, found === routing_key ? [] : [`is ${found}, not ${routing_key}`]);
    }
  },

  async repeats(context) {
    const { ask, check } = context;
    const command = { request_id: randomUUID(), ...occurrence(context, 'repeats') };
    const stored = {
      outcome: 'occurrence_stored',
      created: true,
      sellable: { total: 12, 'child-seats': 4 },
      version: 1,
    };
    const first = await ask('put', command, stored);
    check('put again: the same bytes', sameText(first, await ask('put again', command, stored)));
    const id = command.occurrence_id;
    const held = await ask('place', place(id, { adult: 2, child: 1 }, { extras: { 'audio-guide': 1 } }), {
      outcome: 'held',
    });
    check(
      'place again: the same bytes',
      sameText(held, await ask('place again', held.command, { outcome: 'held' })),
    );
    const { request_id, items, extras } = held.command;
    const reordered = {
      user_id: null,
      extras,
      items: { child: items.child, adult: items.adult },
      occurrence_id: id,
      request_id,
      type: 'hold.place.v1',
    };
    const spaced = { raw: JSON.stringify(reordered, null, 4), about: reordered };
    check(
      'the same, spelt otherwise: the same bytes',
      sameText(held, await ask('place, spelt otherwise', spaced, { outcome: 'held' })),
    );
    await ask(
      'another body under the id',
      { ...held.command, items: { adult: 1 } },
      refused('request_conflict', { version: 0 }),
    );
    const elsewhere = `${id}-elsewhere`;
    await ask(
      'the id for another occurrence',
      { ...held.command, occurrence_id: elsewhere },
      refused('request_conflict', { version: 0 }),
    );
    check(
      'after the conflict: the same bytes',
      sameText(held, await ask('place once more', held.command, { outcome: 'held' })),
    );
    const early = await ask(
      'place before the put',
      place(`${id}-late`, { adult: 1 }),
      refused('unknown_occurrence', { version: 0 }),
    );
    await put(context, 'repeats-late');
    await ask('a refusal is as sticky', early.command, refused('unknown_occurrence'));
    await ask('a new id is a new request', { ...early.command, request_id: randomUUID() }, { outcome: 'held' });
  },

  async life(context) {
    const { ask, check } = context;
    const id = await put(context, 'life');
    const look = { type: 'availability.get.v1', occurrence_id: id, request_id: randomUUID() };
    await ask('availability', look, {
      outcome: 'availability',
      on_sale: true,
      status: 'active',
      pools: {
        total: { capacity: 12, sellable: 12, held: 0, sold: 0, available: 12 },
        'child-seats': { available: 4 },
      },
      ticket_types: {
        adult: { available: 8 },
        child: { available: 4 },
        group: { min_per_order: 4, available: 8 },
      },
      next_release_at: (found) => found === undefined,
    });
    const { answer, command } = await ask(
      'place',
      place(id, { adult: 2, child: 1 }, { extras: { 'audio-guide': 2 }, user_id: 'user-7' }),
      {
        outcome: 'held',
        hold: {
          state: 'active',
          items: { adult: 2, child: 1 },
          extras: { 'audio-guide': 2 },
          seats: 3,
          user_id: 'user-7',
          session_id: (found) => found.startsWith('hgs.'),
        },
        available: { total: 9, 'child-seats': 3 },
      },
    );
    const { hold } = answer;
    check('hold_id is the request_id', hold.hold_id === command.request_id ? [] : [hold.hold_id]);
    check(
      'the hold lives 15 minutes',
      near(900)(seconds(answer.decided_at, hold.expires_at)) ? [] : [hold.expires_at],
    );
    await ask('availability, same id, afresh', look, {
      outcome: 'availability',
      pools: { total: { held: 3, available: 9 }, 'child-seats': { held: 1, available: 3 } },
      next_release_at: hold.expires_at,
    });
    const changed = await ask('change', on('hold.change.v1', hold, { items: { adult: 1, child: 4 } }), {
      outcome: 'changed',
      hold: {
        hold_id: hold.hold_id,
        items: { adult: 1, child: 4 },
        seats: 5,
        expires_at: hold.expires_at,
        extras: (found) => found === undefined,
      },
      available: { total: 7, 'child-seats': 0 },
    });
    await ask('change of nothing', on('hold.change.v1', hold, { items: { adult: 1, child: 4 } }), {
      outcome: 'changed',
      available: { total: 7 },
    });
    const extended = await ask('extend', on('hold.extend.v1', hold), {
      outcome: 'extended',
      extensions_left: 0,
      hold: { extensions_used: 1, seats: changed.answer.hold.seats },
    });
    const life = seconds(extended.answer.decided_at, extended.answer.hold.expires_at);
    check('extended by its full time from now', near(900)(life) ? [] : [`${life} s`]);
    await ask(
      'extend again',
      on('hold.extend.v1', hold),
      refused('extension_limit', { subject: 'extensions', limit: 1, used: 1, requested: 1 }),
    );
    const released = await ask('release', on('hold.release.v1', hold), {
      outcome: 'released',
      hold: { state: 'released' },
    });
    check(
      'release again under its id: the same bytes',
      sameText(released, await ask('release again', released.command, { outcome: 'released' })),
    );
    for (const type of ['hold.release.v1', 'hold.extend.v1', 'hold.change.v1']) {
      const more = type === 'hold.change.v1' ? { items: { adult: 1 } } : {};
      await ask(
        `${type} of a released hold`,
        on(type, hold, more),
        refused('hold_final', { subject: hold.hold_id, hold_state: 'released' }),
      );
    }
    await ask(
      'all is free again',
      { ...look, request_id: randomUUID() },
      { pools: { total: { held: 0, available: 12 }, 'child-seats': { held: 0 } } },
    );
    await ask('nothing to sweep', { type: 'hold.sweep.v1', occurrence_id: id }, { outcome: 'swept', expired: 0 });
  },

  async invalid(context) {
    const { ask } = context;
    const id = await put(context, 'invalid');
    const good = place(id, { adult: 1 });
    const bad = { malformed: true };
    const invalid = refused('invalid', { errors: (found) => found.length > 0 });
    await ask('an unknown field', { ...good, colour: 'red' }, invalid, bad);
    await ask('an unknown field inside', { ...good, client: { address: '203.0.113.9', port: 1 } }, invalid, bad);
    await ask('a number as text', { ...good, items: { adult: '1' } }, invalid, bad);
    await ask(
      'nothing in the basket',
      { ...good, items: {} },
      refused('invalid', { errors: problemWith('items') }),
      bad,
    );
    await ask(
      'an unknown type',
      { ...good, type: 'hold.place.v99' },
      refused('invalid', { errors: problemWith('type') }),
      bad,
    );
    const about = { request_id: randomUUID(), ...good };
    await ask(
      '2.0 is not 2',
      { raw: JSON.stringify(about).replace('"adult":1', '"adult":1.0'), about },
      invalid,
      bad,
    );
    const twice = { request_id: randomUUID(), ...good };
    await ask(
      'a key given twice',
      { raw: JSON.stringify(twice).replace('"adult":1', '"adult":1,"adult":1'), about: twice },
      invalid,
      bad,
    );
    await ask(
      'longer than a hold may live',
      { ...good, ttl_seconds: 7200 },
      refused('invalid', { errors: problemWith('ttl_seconds') }),
    );
    await ask(
      'an end before the start',
      occurrence(context, 'backwards', { ends_at: iso(DAY) }),
      refused('invalid', { errors: problemWith('ends_at') }),
    );
    await ask(
      'an unknown zone',
      occurrence(context, 'nowhere', { timezone: 'Nowhere/Land' }),
      refused('invalid', { errors: problemWith('timezone') }),
    );
    await ask(
      'an unknown pool',
      { type: 'occurrence.capacity.v1', occurrence_id: id, pool: 'balcony', capacity: 1 },
      refused('invalid', { errors: problemWith('pool') }),
    );
    await ask(
      'total cannot be unlimited',
      { type: 'occurrence.capacity.v1', occurrence_id: id, capacity: null },
      refused('invalid', { errors: problemWith('capacity') }),
    );
    const with_ = (properties) => ({ properties });
    await ask(
      'an expiration',
      good,
      refused('invalid', { errors: problemWith('expiration') }),
      with_({ expiration: '600000' }),
    );
    await ask(
      'a content encoding',
      good,
      refused('invalid', { errors: problemWith('content_encoding') }),
      with_({ contentEncoding: 'gzip' }),
    );
    await ask(
      'another content type',
      good,
      refused('invalid', { errors: problemWith('content_type') }),
      with_({ contentType: 'text/plain' }),
    );
    await ask(
      'another message_id',
      good,
      refused('invalid', { errors: problemWith('message_id') }),
      with_({ messageId: randomUUID() }),
    );
    await ask(
      'another type',
      good,
      refused('invalid', { errors: problemWith('type') }),
      with_({ type: 'hold.extend.v1' }),
    );
    const wrong = await ask('a refused body', { ...good, colour: 'blue' }, invalid, bad);
    await ask(
      'a corrected body needs a new id',
      { ...good, request_id: wrong.command.request_id },
      refused('request_conflict'),
    );
    await ask('and with it, it is held', good, { outcome: 'held' });
  },

  async unreadable({ ask, deadLetters, run }) {
    if (!deadLetters) return; // each of these leaves a dead letter for the operators
    const wanted = refused('invalid', {
      request_id: '',
      occurrence_id: '',
      version: 0,
      errors: (found) => found.length > 0,
    });
    const about = { occurrence_id: `node-${run}-unreadable`, request_id: randomUUID() };
    await ask('no JSON', { raw: '{"type":', about }, wanted, { malformed: true });
    const upper = {
      ...about,
      type: 'hold.place.v1',
      items: { adult: 1 },
      request_id: about.request_id.toUpperCase(),
    };
    await ask('an id in upper case', { raw: JSON.stringify(upper), about }, wanted, { malformed: true });
    const long = { ...about, type: 'hold.place.v1', items: { adult: 1 }, colour: 'x'.repeat(16 * 1024) };
    await ask('more than 16 KiB', { raw: JSON.stringify(long), about }, wanted, { malformed: true });
  },

  async sessions(context) {
    const { ask, run } = context;
    const id = await put(context, 'sessions');
    const mine = await ask(
      'place in a session of my own',
      place(id, { adult: 1 }, { session_id: `mine-${run}` }),
      { outcome: 'held', hold: { session_id: `mine-${run}` } },
    );
    const { hold } = mine.answer;
    await ask(
      'a forged session',
      place(id, { adult: 1 }, { session_id: `hgs.${randomUUID()}.${'0'.repeat(40)}` }),
      refused('forbidden'),
    );
    await ask(
      'forbidden comes before unknown_occurrence',
      place(`${id}-none`, { adult: 1 }, { session_id: 'hgs.made-up' }),
      refused('forbidden'),
    );
    const missing = refused('hold_not_found', { subject: hold.hold_id });
    await ask('extend from another session', on('hold.extend.v1', { ...hold, session_id: 'thief' }), missing);
    await ask(
      'change from another session',
      on('hold.change.v1', { ...hold, session_id: 'thief' }, { items: { adult: 2 } }),
      missing,
    );
    await ask('release from another session', on('hold.release.v1', { ...hold, session_id: 'thief' }), missing);
    const nobody = randomUUID();
    await ask(
      'a hold that never was',
      on('hold.release.v1', { ...hold, hold_id: nobody }),
      refused('hold_not_found', { subject: nobody }),
    );
    const other = await put(context, 'sessions-other');
    await ask('a hold of another occurrence', on('hold.release.v1', { ...hold, occurrence_id: other }), missing);
    await ask(
      'an occurrence that never was',
      on('hold.release.v1', { ...hold, occurrence_id: `${id}-none` }),
      refused('unknown_occurrence', { version: 0 }),
    );
    await ask('its own session releases it', on('hold.release.v1', hold), { outcome: 'released' });
  },

  async baskets(context) {
    const { ask } = context;
    const id = await put(context, 'baskets');
    await ask(
      'an unknown ticket',
      place(id, { adult: 1, senior: 1 }),
      refused('unknown_ticket', { subject: 'senior' }),
    );
    await ask(
      'an unknown extra',
      place(id, { adult: 1 }, { extras: { lunch: 1 } }),
      refused('unknown_extra', { subject: 'lunch' }),
    );
    await ask(
      'tickets before extras',
      place(id, { senior: 1 }, { extras: { lunch: 1 } }),
      refused('unknown_ticket'),
    );
    await ask(
      'too few',
      place(id, { group: 3 }),
      refused('below_min', { subject: 'group', limit: 4, requested: 3 }),
    );
    await ask(
      'too many of a ticket',
      place(id, { adult: 9 }),
      refused('above_max', { subject: 'adult', limit: 8, requested: 9 }),
    );
    await ask(
      'too many of an extra',
      place(id, { adult: 1 }, { extras: { 'audio-guide': 11 } }),
      refused('above_max', { subject: 'audio-guide', limit: 10, requested: 11 }),
    );
    await ask('below_min before above_max', place(id, { adult: 9, group: 1 }), refused('below_min'));
    await ask(
      'too many seats',
      place(id, { adult: 8, child: 2 }),
      refused('limit_per_request', { subject: 'seats_per_request', limit: 9, used: 0, requested: 10 }),
    );
    const small = await put(context, 'baskets-small', {
      hold: { max_seats_per_request: 9, max_seats_per_hold: 3 },
    });
    await ask(
      'too many seats for a hold',
      place(small, { adult: 4 }),
      refused('limit_per_request', { subject: 'seats_per_hold', limit: 3, used: 0, requested: 4 }),
    );
    const { answer } = await ask('a good basket', place(id, { adult: 1 }), { outcome: 'held' });
    await ask(
      'a change is checked like a new basket',
      on('hold.change.v1', answer.hold, { items: { adult: 9 } }),
      refused('above_max', { subject: 'adult' }),
    );
  },

  async limits(context) {
    const { ask, run } = context;
    const brief = await put(context, 'brief', {
      hold: { ttl_minutes: 5, lifetime_max_minutes: 5, extensions_max: 3 },
    });
    const { answer } = await ask('place', place(brief, { adult: 1 }), { outcome: 'held' });
    await ask(
      'as old as it may get',
      on('hold.extend.v1', answer.hold),
      refused('extension_limit', { subject: 'lifetime_minutes', limit: 5, used: 0, requested: 5 }),
    );
    const id = await put(context, 'limits', { capacity: 1000 });
    const session_id = `greedy-${run}`;
    const holds = [];
    for (let full = false; !full && holds.length <= 100;) {
      const count = holds.length;
      const reply = await ask(`hold ${count + 1} of one session`, place(id, { adult: 1 }, { session_id }), {
        outcome: (found) => found === 'held' || (count > 0 && found === 'refused'),
      });
      full = reply.answer.outcome === 'refused';
      if (full) {
        await ask(
          'the session is full',
          place(brief, { adult: 1 }, { session_id }),
          refused('limit_per_session', { subject: 'holds_per_session', limit: count, used: count, requested: 1 }),
        );
      } else {
        holds.push(reply.answer.hold);
      }
    }
    await ask('release one', on('hold.release.v1', holds.pop()), { outcome: 'released' });
    await ask('and there is room for one', place(brief, { adult: 1 }, { session_id }), { outcome: 'held' });
  },

  async soldOut(context) {
    const { ask, run } = context;
    const id = await put(context, 'sold-out');
    const first = await ask('three of four children', place(id, { child: 3 }, { extras: { 'audio-guide': 2 } }), {
      outcome: 'held',
      available: { 'child-seats': 1, total: 9 },
    });
    await ask(
      'two more do not fit',
      place(id, { adult: 1, child: 2 }),
      refused('sold_out', {
        subject: 'child-seats',
        requested: 2,
        available: { 'child-seats': 1, total: 9 },
        held: { 'child-seats': 3, total: 3 },
        next_release_at: first.answer.hold.expires_at,
      }),
    );
    const stock = `guides-${run}-sold-out`;
    await ask(
      'shared stock',
      place(id, { adult: 1 }, { extras: { 'audio-guide': 2 } }),
      refused('sold_out', { subject: stock, limit: 3, used: 2, requested: 2, available: { [stock]: 1 } }),
    );
    await ask(
      'a change that does not fit',
      on('hold.change.v1', first.answer.hold, { items: { child: 6 } }),
      refused('sold_out', { subject: 'child-seats', requested: 3, available: { 'child-seats': 1 } }),
    );
    await ask('eight adults', place(id, { adult: 8 }), { outcome: 'held', available: { total: 1 } });
    await ask(
      'total',
      place(id, { adult: 2 }),
      refused('sold_out', { subject: 'total', requested: 2, available: { total: 1 }, held: { total: 11 } }),
    );
    await ask('the last one', place(id, { adult: 1 }), { outcome: 'held', available: { total: 0 } });
  },

  async order(context) {
    const { client, check } = context;
    const id = await put(context, 'order');
    const replies = await Promise.all(Array.from({ length: 20 }, () => client.request(place(id, { adult: 1 }))));
    const outcomes = replies.map(({ outcome, reason }) => reason ?? outcome);
    const wanted = outcomes.map((_, number) => (number < 12 ? 'held' : 'sold_out'));
    check(
      'twenty at once for twelve seats: the first twelve',
      String(outcomes) === String(wanted) ? [] : [String(outcomes)],
    );
    const rising = replies.every(({ version }, number) => number === 0 || version > replies[number - 1].version);
    check('decided in the order sent', rising ? [] : [String(replies.map(({ version }) => version))]);
  },

  async expiry(context) {
    const { ask } = context;
    const id = await put(context, 'expiry', { capacity: 2 });
    const { answer } = await ask('all seats for a second', place(id, { adult: 2 }, { ttl_seconds: 1 }), {
      outcome: 'held',
      available: { total: 0 },
    });
    const { hold } = answer;
    await ask('none left', place(id, { adult: 1 }), refused('sold_out', { next_release_at: hold.expires_at }));
    await pause(1000 * seconds(answer.decided_at, hold.expires_at) + 250);
    await ask('nobody is turned away by a dead hold', place(id, { adult: 1 }), { outcome: 'held' });
    const over = refused('hold_final', { subject: hold.hold_id, hold_state: 'expired' });
    await ask('a lapsed hold is not extended', on('hold.extend.v1', hold), over);
    await ask('nor released', on('hold.release.v1', hold), over);
    await ask(
      'its place is free',
      { type: 'availability.get.v1', occurrence_id: id },
      { pools: { total: { held: 1, available: 1 } } },
    );
  },

  async onSale(context) {
    const { ask } = context;
    const closed = (why, more = {}) => refused('not_on_sale', { not_on_sale: why, ...more });
    for (const status of ['closed', 'cancelled', 'completed']) {
      const id = await put(context, status);
      const { answer } = await ask(`place before it is ${status}`, place(id, { adult: 1 }), { outcome: 'held' });
      await ask(
        `close as ${status}`,
        { type: 'occurrence.close.v1', occurrence_id: id, status },
        { outcome: 'occurrence_stored', created: false, status },
      );
      await ask(`place when ${status}`, place(id, { adult: 1 }), closed(status));
      await ask(
        `change when ${status}`,
        on('hold.change.v1', answer.hold, { items: { adult: 2 } }),
        closed(status),
      );
      await ask(
        `availability when ${status}`,
        { type: 'availability.get.v1', occurrence_id: id },
        { on_sale: false, not_on_sale: status, ticket_types: { adult: { available: 0 } } },
      );
      await ask(`extend when ${status}`, on('hold.extend.v1', answer.hold), { outcome: 'extended' });
      await ask(`release when ${status}`, on('hold.release.v1', answer.hold), { outcome: 'released' });
      const again = occurrence(context, status);
      if (status === 'closed') {
        await ask('a put opens it again', again, {
          outcome: 'occurrence_stored',
          created: false,
          status: 'active',
        });
        await ask('place when open again', place(id, { adult: 1 }), { outcome: 'held' });
      } else {
        await ask(`${status} is final`, again, refused('invalid', { errors: problemWith('status') }));
      }
    }
    const started = await put(context, 'started', { starts_at: iso(-HOUR), ends_at: iso(HOUR) });
    await ask('place when started', place(started, { adult: 1 }), closed('started'));
    const opens = wall(5 * DAY);
    const early = await put(context, 'early', { sales_open: opens });
    await ask(
      'place before it opens',
      place(early, { adult: 1 }),
      closed('not_yet_open', { opens_at: (found) => Date.parse(found) === Date.parse(`${opens}Z`) }),
    );
    const cutoff = await put(context, 'cutoff', { cutoff_minutes: 31 * 24 * 60 });
    await ask('place after the cut-off', place(cutoff, { adult: 1 }), closed('past_cutoff'));
    const over = await put(context, 'over', { sales_close: wall(-DAY) });
    await ask('place after sales closed', place(over, { adult: 1 }), closed('past_cutoff'));
    await ask('not on sale comes before unknown_ticket', place(over, { senior: 1 }), closed('past_cutoff'));
  },

  async capacity(context) {
    const { ask } = context;
    const id = await put(context, 'capacity');
    const { answer } = await ask('place six', place(id, { adult: 6 }), { outcome: 'held' });
    const set = (capacity, more = {}) => ({
      type: 'occurrence.capacity.v1',
      occurrence_id: id,
      capacity,
      ...more,
    });
    await ask('below what is taken', set(4), {
      outcome: 'occurrence_stored',
      sellable: { total: 6 },
      deficit: { total: 2 },
    });
    await ask(
      'nothing new is granted',
      place(id, { adult: 1 }),
      refused('sold_out', { subject: 'total', available: { total: 0 } }),
    );
    await ask('come down to one', on('hold.change.v1', answer.hold, { items: { adult: 1 } }), {
      outcome: 'changed',
      available: { total: 3 },
    });
    await ask('enough again', set(12), {
      outcome: 'occurrence_stored',
      sellable: { total: 12 },
      deficit: (found) => found === undefined,
    });
    await ask('unlimited children', set(null, { pool: 'child-seats' }), {
      outcome: 'occurrence_stored',
      sellable: { 'child-seats': null },
    });
    await ask('five children', place(id, { child: 5 }), {
      outcome: 'held',
      available: { total: 6, 'child-seats': null },
    });
    await ask(
      'a pool in use cannot be left out',
      occurrence(context, 'capacity', { pools: [], ticket_types: [{ key: 'adult' }] }),
      refused('invalid', { errors: problemWith('pools') }),
    );
    await ask(
      'overbooking and buffer',
      occurrence(context, 'capacity', { capacity: 15, overbooking_percent: 10, buffer: 3 }),
      { outcome: 'occurrence_stored', created: false, sellable: { total: 13 } },
    );
    const twin = occurrence(context, 'capacity');
    await ask(
      'one start per product',
      {
        ...occurrence(context, 'twin'),
        product_id: twin.product_id,
        starts_at: '2031-05-05T10:00:00Z',
        ends_at: '2031-05-05T11:00:00Z',
      },
      { created: true },
    );
    await ask(
      'a second one is refused',
      {
        ...occurrence(context, 'triplet'),
        product_id: twin.product_id,
        starts_at: '2031-05-05T12:00:00+02:00',
        ends_at: '2031-05-05T13:00:00Z',
      },
      refused('invalid', { errors: problemWith('starts_at') }),
    );
  },
};
