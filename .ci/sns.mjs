// Messages of SNS as two judges see them: ours, and the validator of AWS for JavaScript, whose question for the certificate is answered here. Their
// verdicts must be those of crates/intake/tests/sns/messages.json, which says why wherever they differ. `node sns.mjs JUDGE TOOLS`: the built
// example `sns` of dogwatch-intake, and the folder with the package `sns-validator`.
import { spawnSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

import { table } from '../crates/intake/tests/sns/messages.mjs';

const [judge, tools] = process.argv.slice(2);
const load = createRequire(resolve(tools, 'package.json'));
const path = new URL('../crates/intake/tests/sns/messages.json', import.meta.url);
const written = readFileSync(path, 'utf8');
const { certificates, messages } = JSON.parse(written);
const faults = [];

// Nothing is asked outside: a place has the certificate of the message that is judged.
let certificate = null;
https.get = (_, answer) => {
    const response = Object.assign(new EventEmitter(), { statusCode: certificate === null ? 404 : 200 });
    setImmediate(() => {
        answer(response);
        response.emit('data', Buffer.from(certificate ?? ''));
        response.emit('end');
    });
    return new EventEmitter();
};

/** What the validator says. It keeps certificates by their place, so each message gets a fresh one. */
async function theirs(message) {
    delete load.cache[load.resolve('sns-validator')];
    const Validator = load('sns-validator');
    certificate = certificates[message.certificate];
    try {
        await new Promise((done, fail) => new Validator().validate(message.body, (error) => (error ? fail(error) : done())));
        return 'taken';
    } catch {
        return 'refused';
    }
}

if (written !== table()) faults.push('messages.json is not what messages.mjs makes');
const judged = spawnSync(judge, [path.pathname], { encoding: 'utf8' });
const ours = judged.stdout.split('\n');
if (judged.status !== 0 || ours.length !== messages.length + 1) faults.push(`our judge failed: ${judged.stderr}`);
const count = { taken: 0, refused: 0, differ: 0 };
for (const [at, message] of messages.entries()) {
    const [we, they] = [ours[at], await theirs(message)];
    if (we !== message.ours) faults.push(`${message.name}: we say ${we}, and the table ${message.ours}`);
    if (they !== message.theirs) faults.push(`${message.name}: they say ${they}, and the table ${message.theirs}`);
    if (we !== they && !message.why) faults.push(`${message.name}: we say ${we}, they ${they}, and nothing says why`);
    count[we === they ? we : 'differ'] += 1;
}
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exit(1);
console.log(`sns: of ${messages.length} messages both took ${count.taken} and refused ${count.refused}; where ${count.differ} differ, the table says why`);
