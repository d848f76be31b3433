// Runs through the message contract against a real installation. One JSON line per step; exit 1 if anything is not
// as docs/contract.md says.
//
//   AMQP_URL=amqp://user:password@host:5672/vhost node scenario.mjs [--dead-letters] [--only=words]

import { randomBytes, randomUUID } from 'node:crypto';
import { HoldgateClient } from './client.mjs';
import { differences, loadSchemas, refusalProblems } from './checks.mjs';
import { steps } from './steps.mjs';

const options = new Set(process.argv.slice(2).filter((word) => !word.includes('=')));
const only = process.argv.find((word) => word.startsWith('--only='))?.slice('--only='.length);
const url = process.env.AMQP_URL;
if (!url) {
  console.error('set AMQP_URL, for example amqp://user:password@localhost:5672/');
  process.exit(2);
}

const schemas = loadSchemas();
const client = new HoldgateClient(url, {
  program: process.env.PROGRAM ?? 'node-example',
  timeoutMs: Number(process.env.TIMEOUT_MS ?? 30_000),
});
const counts = { steps: 0, failed: 0 };
const reasons = new Set();

function report(step, problems, more = {}) {
  counts.steps += 1;
  if (problems.length > 0) counts.failed += 1;
  console.log(
    JSON.stringify({ step, ok: problems.length === 0, ...more, ...(problems.length > 0 && { problems }) }),
  );
}

function schemaProblems(name, message) {
  const validate = schemas.get(name);
  if (!validate) return [`there is no schema ${name}`];
  if (validate(message)) return [];
  return validate.errors.map((error) => `${name} ${error.instancePath || '/'} ${error.message}`);
}

/** Send the body (a command, or {raw, about}) and compare the answer with what is wanted. Resolves to the reply. */
async function ask(step, body, wanted, { properties, malformed = false } = {}) {
  const about = body.raw === undefined ? { request_id: randomUUID(), ...body } : body.about;
  const text = body.raw ?? JSON.stringify(about);
  const problems = malformed ? [] : schemaProblems(about.type, JSON.parse(text));
  const reply = await client.send(text, about, properties);
  const { answer } = reply;
  problems.push(...schemaProblems(reply.properties.type, answer));
  problems.push(
    ...differences(
      { type: `answer.${answer.outcome}.v1`, contentType: 'application/json', appId: 'holdgate' },
      reply.properties,
    ),
  );
  if (answer.outcome === 'refused') {
    reasons.add(answer.reason);
    problems.push(...refusalProblems(answer));
  }
  problems.push(
    ...differences({ request_id: about.request_id, occurrence_id: about.occurrence_id, ...wanted }, answer),
  );
  report(step, problems, {
    outcome: answer.outcome,
    ...(answer.reason && { reason: answer.reason }),
    ...(answer.not_on_sale && { not_on_sale: answer.not_on_sale }),
    ...(problems.length > 0 && { answer }),
  });
  return { ...reply, command: about, text: reply.text, sent: text };
}

const check = (step, problems) => report(step, problems);

// Every reason that a client can bring about. `unavailable` it cannot.
const WANTED = [
  ...['invalid', 'forbidden', 'request_conflict', 'unknown_occurrence', 'hold_not_found', 'hold_final'],
  ...['not_on_sale', 'unknown_ticket', 'unknown_extra', 'below_min', 'above_max', 'limit_per_request'],
  ...['extension_limit', 'limit_per_session', 'sold_out'],
];

const context = {
  ask,
  check,
  client,
  run: randomBytes(4).toString('hex'),
  deadLetters: options.has('--dead-letters'),
};
for (const [name, step] of Object.entries(steps)) {
  if (only && !name.includes(only)) continue;
  try {
    await step(context);
  } catch (error) {
    report(name, [error.stack ?? String(error)]);
  }
}
if (!only)
  report(
    'every reason was seen',
    WANTED.filter((reason) => !reasons.has(reason)).map((reason) => `${reason} was not`),
  );
await client.close();
console.log(JSON.stringify({ done: true, ...counts }));
process.exitCode = counts.failed > 0 ? 1 : 0;
