// What the contract says, checked: the schemas of every message, and what a step expects of its answer.

import { readFileSync, readdirSync } from 'node:fs';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const CONTRACT = new URL('../../docs/contract/', import.meta.url);

/** Message name -> validating function, from the published schemas. */
export function loadSchemas() {
  const ajv = addFormats(new Ajv2020({ allErrors: true, strict: false }));
  const schemas = new Map();
  for (const file of readdirSync(new URL('schemas/', CONTRACT))) {
    const schema = JSON.parse(readFileSync(new URL(`schemas/${file}`, CONTRACT), 'utf8'));
    schemas.set(file.replace(/\.json$/, ''), ajv.compile(schema));
  }
  return schemas;
}

export const loadVectors = () => JSON.parse(readFileSync(new URL('slots.json', CONTRACT), 'utf8')).vectors;

/** What is wrong with `found` if it should contain `wanted`; an empty list if nothing is. */
export function differences(wanted, found, path = '') {
  if (typeof wanted === 'function') return wanted(found) ? [] : [`${path} is ${JSON.stringify(found)}`];
  if (Array.isArray(wanted) || wanted === null || typeof wanted !== 'object') {
    return JSON.stringify(wanted) === JSON.stringify(found)
      ? []
      : [`${path} is ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`];
  }
  if (found === null || typeof found !== 'object') return [`${path} is ${JSON.stringify(found)}, not an object`];
  return Object.keys(wanted).flatMap((key) => differences(wanted[key], found[key], path ? `${path}.${key}` : key));
}

// The optional fields of a refusal, by reason: which must be there, which may be. No other one may.
const TAUGHT = {
  invalid: [['errors'], []],
  forbidden: [[], []],
  request_conflict: [[], []],
  unknown_occurrence: [[], []],
  hold_not_found: [['subject'], []],
  hold_final: [['subject', 'hold_state'], []],
  not_on_sale: [['not_on_sale'], ['opens_at']],
  unknown_ticket: [['subject'], []],
  unknown_extra: [['subject'], []],
  below_min: [['subject', 'limit', 'requested'], []],
  above_max: [['subject', 'limit', 'requested'], []],
  limit_per_request: [['subject', 'limit', 'used', 'requested'], []],
  extension_limit: [['subject', 'limit', 'used', 'requested'], []],
  limit_per_session: [['subject', 'limit', 'used', 'requested'], []],
  sold_out: [
    ['subject', 'requested', 'available'],
    ['held', 'next_release_at', 'limit', 'used'],
  ],
  unavailable: [[], []],
};
const ALWAYS = [
  'outcome',
  'request_id',
  'occurrence_id',
  'version',
  'decided_at',
  'reason',
  'retryable',
  'message',
];

/** What is wrong with the fields of a refusal, by the table of refusals. */
export function refusalProblems(answer) {
  const taught = TAUGHT[answer.reason];
  if (!taught) return [`unknown reason ${answer.reason}`];
  const [must, may] = taught;
  const problems = must.filter((field) => !(field in answer)).map((field) => `${field} is missing`);
  const known = new Set([...ALWAYS, ...must, ...may]);
  problems.push(
    ...Object.keys(answer)
      .filter((field) => !known.has(field))
      .map((field) => `${field} is not due`),
  );
  if (answer.retryable !== (answer.reason === 'unavailable')) problems.push('retryable is wrong');
  if ((answer.not_on_sale === 'not_yet_open') !== 'opens_at' in answer) problems.push('opens_at is wrong');
  return problems;
}
