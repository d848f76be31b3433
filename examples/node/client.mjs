// A small Holdgate client on amqplib, written from docs/contract.md.
//
// It keeps one connection with a confirm channel and a reply queue of its own, sends the same bytes again until an
// answer comes or the time is up, and gives every answer, refusals included, as a value.

import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import amqp from 'amqplib';

const REQUESTS = 'holdgate.requests';

/** The routing key of an occurrence's requests: `slot.000` to `slot.255`. */
export const routingKey = (occurrenceId) => 'slot.' + String(crc32(occurrenceId) % 256).padStart(3, '0');

/** No answer in time: the outcome is unknown. Send the same request again later. */
export class NoAnswer extends Error {
  constructor(requestId, lastProblem) {
    super(`no answer for request ${requestId}: ${lastProblem}`);
    this.requestId = requestId;
  }
}

export class HoldgateClient {
  /**
   * @param {string} url amqp://user:password@host:port/vhost
   * @param {{program?: string, timeoutMs?: number, attemptMs?: number}} options `program` names your program and its
   *   reply queues; `timeoutMs` bounds a request with all its attempts, `attemptMs` one attempt.
   */
  constructor(url, { program = 'node-example', timeoutMs = 30_000, attemptMs = 5_000 } = {}) {
    this.url = url;
    this.program = program;
    this.timeoutMs = timeoutMs;
    this.attemptMs = attemptMs;
    this.session = null; // a promise of {connection, channel, replyTo, waiting}
    this.closed = false;
  }

  /** Send a command and resolve to its answer. Give `request_id` to repeat an earlier request. */
  async request(command) {
    const whole = { request_id: randomUUID(), ...command };
    const { answer } = await this.send(JSON.stringify(whole), whole);
    return answer;
  }

  /**
   * Send these very bytes; `about` says what the client needs to know of them. Resolves to {answer, text, properties}.
   * `options` are further AMQP properties, in amqplib's spelling.
   */
  async send(body, about, options = {}) {
    const deadline = Date.now() + this.timeoutMs;
    let problem = 'time was up';
    for (let attempt = 0; Date.now() < deadline && !this.closed; attempt += 1) {
      if (attempt > 0) await pause(Math.random() * Math.min(2_000, 100 * 2 ** attempt));
      try {
        const reply = await this.attempt(Buffer.from(body), about, options, deadline);
        if (!(reply.answer.outcome === 'refused' && reply.answer.retryable)) return reply;
        problem = reply.answer.reason;
      } catch (error) {
        problem = error.message;
      }
    }
    throw new NoAnswer(about.request_id, problem);
  }

  async close() {
    this.closed = true;
    const session = await this.session?.catch(() => null);
    await session?.connection.close().catch(() => {});
  }

  async attempt(body, about, options, deadline) {
    const { channel, replyTo, waiting } = await (this.session ?? this.open());
    // A new one for each attempt, so that a late answer to an earlier one is not mistaken. It would be the same anyway.
    const correlationId = randomUUID();
    const timer = new AbortController();
    const answered = new Promise((resolve, reject) => waiting.set(correlationId, { resolve, reject }));
    const timedOut = pause(Math.min(this.attemptMs, Math.max(0, deadline - Date.now())), null, {
      signal: timer.signal,
    }).then(() => {
      throw new Error('no answer yet');
    });
    answered.catch(() => {});
    timedOut.catch(() => {});
    try {
      const confirmed = new Promise((resolve, reject) => {
        channel.publish(
          REQUESTS,
          routingKey(about.occurrence_id),
          body,
          {
            persistent: true,
            mandatory: true,
            contentType: 'application/json',
            messageId: about.request_id,
            correlationId,
            replyTo,
            appId: this.program,
            ...options,
          },
          (error) => (error ? reject(new Error(`not taken by the broker: ${error.message}`)) : resolve()),
        );
      });
      await Promise.race([confirmed, answered, timedOut]);
      return await Promise.race([answered, timedOut]);
    } finally {
      timer.abort();
      waiting.delete(correlationId);
    }
  }

  /** Connect once. When the session is lost, what waits on it fails, and the next attempt opens another. */
  async open() {
    const waiting = new Map(); // correlation id -> what to do with the answer
    const lost = (reason) => {
      if (this.session === opening) this.session = null;
      for (const { reject } of waiting.values()) reject(new Error(reason));
    };
    const opening = this.connect(waiting, lost);
    opening.catch((error) => lost(error.message));
    this.session = opening;
    return opening;
  }

  async connect(waiting, lost) {
    const connection = await amqp.connect(this.url, {
      clientProperties: { connection_name: this.program },
      heartbeat: 10,
    });
    connection.on('error', () => {}); // 'close' follows
    connection.on('close', () => lost('the connection was closed'));
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => {}); // 'close' follows
    channel.on('close', () => {
      lost('the channel was closed');
      connection.close().catch(() => {});
    });
    channel.on('return', ({ properties }) => {
      waiting.get(properties.correlationId)?.reject(new Error('returned: no queue takes this slot'));
    });
    const replyTo = `holdgate.reply.${this.program}.${randomBytes(8).toString('hex')}`;
    await channel.assertQueue(replyTo, {
      exclusive: true,
      autoDelete: true,
      durable: false,
      arguments: { 'x-queue-type': 'classic' },
    });
    const deliver = ({ content, properties }) => {
      const text = content.toString('utf8');
      waiting.get(properties.correlationId)?.resolve({ answer: JSON.parse(text), text, properties });
    };
    await channel.consume(replyTo, (message) => message && deliver(message), { noAck: true });
    return { connection, channel, replyTo, waiting };
  }
}
