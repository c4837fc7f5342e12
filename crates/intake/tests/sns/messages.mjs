// Makes the table of messages of SNS, messages.json, which lies beside this file. `node messages.mjs` prints it.
//
// Each line is a message: its body, the certificate that is at the place which it names, what we make of it (`ours`), and what the validator of
// AWS for JavaScript does (`theirs`); where they differ, why. `cargo test` holds us to it, and `.ci/sns.mjs` both. `over.pem` has our key, and ended in
// 2020; `small.pem` has a key of 1,024 bits.
import { constants, createPrivateKey, sign } from 'node:crypto';
import { readFileSync, writeSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const file = (name) => readFileSync(new URL(name, import.meta.url));
const key = (name) => createPrivateKey({ key: file(name), format: 'der', type: 'pkcs8' });
const KEY = key('key.pk8');
const SMALL_KEY = key('small.pk8');

const CERTIFICATE = file('certificate.pem').toString();
/** What may be at the place of a certificate. With `null` nothing is there. */
const certificates = {
    ours: CERTIFICATE,
    another: file('another.pem').toString(),
    'one that ended in 2020': file('over.pem').toString(),
    small: file('small.pem').toString(),
    'text, then ours': `Subject: CN = sns.amazonaws.com\n\n${CERTIFICATE}`,
    'with other line ends': CERTIFICATE.replaceAll('\n', '\r\n'),
    'ours, then another': CERTIFICATE + file('another.pem'),
    'another, then ours': file('another.pem') + CERTIFICATE,
    'cut off': CERTIFICATE.slice(0, CERTIFICATE.length / 2),
    damaged: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    'a page': '<html><body>Not found</body></html>',
    empty: '',
    none: null,
};

const HOST = 'https://sns.eu-west-1.amazonaws.com';
const FILE = 'SimpleNotificationService-0123456789abcdef.pem';
const TOPIC = 'arn:aws:sns:eu-west-1:123456789012:alarms';
const CONFIRM = `${HOST}/?Action=ConfirmSubscription&TopicArn=${TOPIC}&Token=t0`;
const ALARM = JSON.stringify({ AlarmName: 'Queue', OldStateValue: 'OK', NewStateValue: 'ALARM' });

const common = { MessageId: 'm-1', TopicArn: TOPIC, Timestamp: '2026-04-07T10:00:00.000Z', SignatureVersion: '2', SigningCertURL: `${HOST}/${FILE}` };
const notification = (more = {}) => ({ Type: 'Notification', Message: ALARM, Subject: 'ALARM: Queue', ...common, ...more });
const control = (Type) => (more = {}) => ({ Type, Message: 'You have chosen to.', Token: 't0', SubscribeURL: CONFIRM, ...common, ...more });
const subscription = control('SubscriptionConfirmation');
const unsubscription = control('UnsubscribeConfirmation');
const KINDS = { Notification: notification, SubscriptionConfirmation: subscription, UnsubscribeConfirmation: unsubscription };

/** Messages without fields. */
const without = (message, ...names) => Object.fromEntries(Object.entries(message).filter(([name]) => !names.includes(name)));

// What SNS signs, as its documentation says.
const SIGNED = ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'];
const SIGNED_CONTROL = ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'];
const text = (message, names) => names.filter((name) => name in message).map((name) => `${name}\n${message[name]}\n`).join('');
const names = (message) => (message.Type === 'SubscriptionConfirmation' || message.Type === 'UnsubscribeConfirmation' ? SIGNED_CONTROL : SIGNED);

/** A message with its signature. What is signed may be said. */
function signed(message, { of = text(message, names(message)), hash = 'RSA-SHA256', by = KEY } = {}) {
    return { ...message, Signature: sign(hash, Buffer.from(of), by).toString('base64') };
}

const messages = [];
function add(name, message, ours, theirs, why, certificate = 'ours') {
    if ((ours === theirs) !== (why === undefined)) throw new Error(`${name}: a reason is given where verdicts differ, and only there`);
    messages.push({ name, certificate, ours, theirs, ...(why && { why }), body: typeof message === 'string' ? message : JSON.stringify(message) });
}
const taken = (name, message, certificate) => add(name, message, 'taken', 'taken', undefined, certificate);
const refused = (name, message, certificate) => add(name, message, 'refused', 'refused', undefined, certificate);
const stricter = (name, message, why, certificate) => add(name, message, 'refused', 'taken', why, certificate);
const laxer = (name, message, why) => add(name, message, 'taken', 'refused', why);

const TOKEN_UNSIGNED = 'SNS signs the token of this kind, too, as its documentation says; the validator leaves it out';
const SHA_1 = 'signatures of version 1 are made with SHA-1, and are not taken';
const NO_CERTIFICATE = 'nothing else than a certificate of SNS is asked for at its host';
const OTHER_REGION = 'the certificate must come from the region of the topic';
const PLAIN_URL = 'a URL is compared as it is, before anybody puts it right';
const CONFIRMS = 'what is fetched to confirm must be the action of SNS, in the region of the topic';
const CUT = 'what is signed is cut into fields in one way only';

// Every kind as it should be.
taken('Notification', signed(notification()));
taken('Notification without a subject', signed(without(notification(), 'Subject')));
taken('Notification whose subject is null', { ...signed(without(notification(), 'Subject')), Subject: null });
taken('SubscriptionConfirmation', signed(subscription()));
laxer('UnsubscribeConfirmation', signed(unsubscription()), TOKEN_UNSIGNED);
stricter('UnsubscribeConfirmation whose token is not signed',
    signed(unsubscription(), { of: text(unsubscription(), SIGNED_CONTROL.filter((name) => name !== 'Token')) }), TOKEN_UNSIGNED);
for (const [kind, make] of Object.entries(KINDS)) {
    const first = make({ SignatureVersion: '1' });
    const sha1 = signed(first, { hash: 'RSA-SHA1' });
    if (kind === 'UnsubscribeConfirmation') refused(`${kind} of version 1`, sha1);
    else stricter(`${kind} of version 1`, sha1, SHA_1);
    refused(`${kind} of version 1, signed with SHA-256`, signed(first));
    refused(`${kind} of version 2, signed with SHA-1`, signed(make(), { hash: 'RSA-SHA1' }));
}
stricter('Notification of version 1 without a subject', signed(without(notification({ SignatureVersion: '1' }), 'Subject'), { hash: 'RSA-SHA1' }), SHA_1);
for (const version of ['', '0', '3', '2.0', ' 2', '02', null, false]) {
    refused(`SignatureVersion ${JSON.stringify(version)}`, signed(notification({ SignatureVersion: version })));
}
laxer('SignatureVersion 2 as a number', signed(notification({ SignatureVersion: 2 })), 'a number stands for its digits');

// Texts of any kind.
for (const [what, Message] of Object.entries({
    'of many lines': 'a\nb\r\n\n', 'of one character': 'x', 'of blanks': '  \t ', 'with characters beyond ASCII': 'Räume \u{1F525}',
    'with NUL': 'a\0b', 'with separators of lines': 'a\u2028b\u0085c', 'as JSON in JSON': JSON.stringify(ALARM), 'that is long': 'x'.repeat(500),
    'that looks like fields': 'x\nMessageId\nm-9\nTimestamp\n2026',
})) taken(`Message ${what}`, signed(notification({ Message })));
taken('Message with half of a character', signed(notification({ Message: 'a\uD83D' }), { of: text(notification({ Message: 'a\uFFFD' }), SIGNED) }));
taken('Message that is empty', signed(notification({ Message: '' })));
taken('Subject with characters beyond ASCII', signed(notification({ Subject: 'Störung \u2713' })));
taken('Timestamp of long ago', signed(notification({ Timestamp: '2014-01-01T00:00:00.000Z' })));
taken('Timestamp that is none', signed(notification({ Timestamp: 'yesterday' })));
taken('UnsubscribeURL of somebody else: it is not signed, and nobody asks it', { ...signed(notification()), UnsubscribeURL: 'https://evil.example' });
taken('a field that SNS does not have', { ...signed(notification()), More: [1, { a: null }] });
taken('Notification with a token, which is not signed', { ...signed(notification()), Token: 't9' });
laxer('Notification with a SubscribeURL, which is not signed', { ...signed(notification()), SubscribeURL: 'https://evil.example' },
    'of a notification SNS does not sign it, and nobody reads it');
laxer('SubscriptionConfirmation with a subject, which is not signed', { ...signed(subscription()), Subject: 'x' },
    'of a confirmation SNS does not sign it, and nobody reads it');
laxer('Subject that is empty, and not signed', { ...signed(without(notification(), 'Subject')), Subject: '' }, 'SNS leaves out what is empty');
stricter('Subject that is empty, and signed', signed(notification({ Subject: '' })), 'SNS leaves out what is empty');

// Changed after it was signed.
for (const [kind, make, changes] of [
    ['Notification', notification, {
        Message: ALARM.replace('ALARM', 'OK'), MessageId: 'm-2', Subject: 'OK: Queue', Timestamp: '2026-04-07T10:00:01.000Z', TopicArn: `${TOPIC}2`,
    }],
    ['SubscriptionConfirmation', subscription, {
        Message: 'another', MessageId: 'm-2', Token: 't9', SubscribeURL: CONFIRM.replace('t0', 't9'), Timestamp: '2026-04-07T10:00:01.000Z',
        TopicArn: `${TOPIC}2`,
    }],
    ['UnsubscribeConfirmation', unsubscription, { Message: 'another', MessageId: 'm-2', SubscribeURL: CONFIRM.replace('t0', 't9') }],
]) {
    for (const [name, value] of Object.entries(changes)) refused(`${kind} with another ${name}`, { ...signed(make()), [name]: value });
}
refused('Notification with a subject that was added', { ...signed(without(notification(), 'Subject')), Subject: 'x' });
refused('Notification whose subject was taken away', without(signed(notification()), 'Subject'));
refused('Notification whose Message has a blank more', { ...signed(notification()), Message: `${ALARM} ` });
refused('Notification made a SubscriptionConfirmation', { ...subscription(), ...without(signed(notification()), 'Subject'), Type: 'SubscriptionConfirmation' });
refused('SubscriptionConfirmation made a Notification', { ...signed(subscription()), Type: 'Notification' });
refused('SubscriptionConfirmation made an UnsubscribeConfirmation', { ...signed(subscription()), Type: 'UnsubscribeConfirmation' });
const cut = without({ ...signed(notification()), MessageId: 'm-1\nSubject\nALARM: Queue' }, 'Subject');
stricter('Notification whose subject became a part of its id', cut, CUT);
stricter('MessageId with a line break', signed(notification({ MessageId: 'm\n1' })), CUT);
stricter('Subject with a line break', signed(notification({ Subject: 'a\nb' })), CUT);
stricter('Token with a line break', signed(subscription({ Token: 't\n0' })), CUT);

// Fields that are missing, or have another type; the signature is that of what is left.
for (const [kind, make] of Object.entries({ Notification: notification, SubscriptionConfirmation: subscription })) {
    const all = ['Message', 'MessageId', 'Timestamp', 'TopicArn', 'Type', 'SignatureVersion', 'SigningCertURL'];
    const some = kind === 'Notification' ? all : ['MessageId', 'Token', 'SubscribeURL'];
    for (const name of some) refused(`${kind} without ${name}`, signed(without(make(), name)));
}
refused('UnsubscribeConfirmation without Token', signed(without(unsubscription(), 'Token')));
refused('Notification without Signature', notification());
refused('MessageId null, signed as nothing', signed(notification({ MessageId: null }), { of: text(notification({ MessageId: '' }), SIGNED) }));
stricter('MessageId null, signed as null', signed(notification({ MessageId: null })), 'null is no id');
stricter('Message that is a list', signed(notification({ Message: ['x'] })), 'a list is no text');
stricter('Message that is an object', signed(notification({ Message: { a: 1 } })), 'an object is no text');
taken('Message that is a number', signed(notification({ Message: 17 })));
taken('Subject that is a number', signed(notification({ Subject: 5 })));
taken('Message that is a truth value', signed(notification({ Message: true })));
refused('TopicArn that is a number', signed(notification({ TopicArn: 1 }), { of: 'x' }));
refused('SigningCertURL that is a list', signed(notification({ SigningCertURL: [`${HOST}/${FILE}`] })));
stricter('Type in small letters', signed(notification({ Type: 'notification' })), 'a kind that there is not');
stricter('Type of somebody else', signed(notification({ Type: 'Other' })), 'a kind that there is not');
stricter('Type null', signed(notification({ Type: null })), 'a kind that there is not');
const LAMBDA = 'over HTTP, SNS writes `SigningCertURL`; the other spelling is that of its events to Lambda';
stricter('SigningCertUrl in place of SigningCertURL', signed({ ...without(notification(), 'SigningCertURL'), SigningCertUrl: `${HOST}/${FILE}` }), LAMBDA);
laxer('SigningCertUrl beside it, of somebody else', { ...signed(notification()), SigningCertUrl: `https://evil.example/${FILE}` }, LAMBDA);

// The body.
const good = JSON.stringify(signed(notification()));
const TWICE = 'a field that comes twice is ambiguous';
stricter('MessageId twice', good.replace('"MessageId":', '"MessageId":"m-0","MessageId":'), TWICE);
stricter('SigningCertURL twice', good.replace('"SigningCertURL":', '"SigningCertURL":"https://evil.example/x.pem","SigningCertURL":'), TWICE);
taken('a body over many lines', JSON.stringify(signed(notification()), null, 2));
taken('a body with escapes', good.replace('m-1', '\\u006d-\\u0031'));
refused('a body that goes on', `${good}{}`);
refused('a body that was cut off', good.slice(0, -2));
refused('a body in a list', `[${good}]`);
refused('a body in a text', JSON.stringify(good));
for (const body of ['', '{}', '[]', 'null', '17', 'Message=x']) refused(`the body ${body || 'of nothing'}`, body);

// Signatures.
const signature = signed(notification()).Signature;
const LENIENT = 'base64 is read strictly';
for (const [what, Signature] of Object.entries({
    'that is empty': '', 'of one byte': 'AA==', 'cut off by a byte': Buffer.from(signature, 'base64').subarray(0, -1).toString('base64'),
    'with a byte more': Buffer.concat([Buffer.from(signature, 'base64'), Buffer.alloc(1)]).toString('base64'),
    'cut in half': signature.slice(0, signature.length / 2), 'of zeros': Buffer.alloc(256).toString('base64'),
    'in hexadecimal digits': Buffer.from(signature, 'base64').toString('hex'), 'that is a number': 5, 'that is null': null, 'that is a list': [signature],
})) refused(`Signature ${what}`, { ...notification(), Signature });
for (const [what, Signature] of Object.entries({
    'over many lines': signature.replace(/.{76}/g, '$&\n'), 'without its end': signature.replaceAll('=', ''), 'with a blank before it': ` ${signature}`,
    'in the alphabet of URLs': signature.replaceAll('+', '-').replaceAll('/', '_'), 'with more behind its end': `${signature}AAAA`,
})) stricter(`Signature ${what}`, { ...notification(), Signature }, LENIENT);
refused('signed with SHA-512', signed(notification(), { hash: 'RSA-SHA512' }));
refused('signed as PSS', signed(notification(), { by: { key: KEY, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 0 } }));
refused('signed in the order of the body', signed(notification(), { of: text(notification(), Object.keys(notification())) }));
refused('signed without the last line break', signed(notification(), { of: text(notification(), SIGNED).slice(0, -1) }));
refused('signed with other line ends', signed(notification(), { of: text(notification(), SIGNED).replaceAll('\n', '\r\n') }));
refused('signed over the body', signed(notification(), { of: JSON.stringify(notification()) }));

// Certificates at the right place.
for (const certificate of ['another', 'another, then ours', 'cut off', 'damaged', 'a page', 'empty', 'none']) {
    refused(`the certificate is ${certificate}`, signed(notification()), certificate);
}
for (const certificate of ['one that ended in 2020', 'text, then ours', 'with other line ends', 'ours, then another']) {
    taken(`the certificate is ${certificate}`, signed(notification()), certificate);
}
stricter('the certificate has a key of 1,024 bits', signed(notification(), { by: SMALL_KEY }), 'such keys are too short', 'small');

// Where the certificate is.
const at = (SigningCertURL, more) => signed(notification({ SigningCertURL, ...more }));
taken('a certificate with capital letters in its name', at(`${HOST}/SimpleNotificationService-ABCdef0123.pem`));
for (const url of [
    `http://sns.eu-west-1.amazonaws.com/${FILE}`, `ftp://sns.eu-west-1.amazonaws.com/${FILE}`, `//sns.eu-west-1.amazonaws.com/${FILE}`,
    `sns.eu-west-1.amazonaws.com/${FILE}`, `https://evil.example/${FILE}`, `https://sns.eu-west-1.amazonaws.com.evil.example/${FILE}`,
    `https://sns.eu-west-1.evil.example/${FILE}`, `https://evil.example/sns.eu-west-1.amazonaws.com/${FILE}`,
    `https://sns.eu-west-1.amazonaws.com@evil.example/${FILE}`, `https://evil.example#sns.eu-west-1.amazonaws.com/${FILE}`,
    `https://evil.example?sns.eu-west-1.amazonaws.com/${FILE}`, `https://sns.eu-west-1.amazonaws.com:8443/${FILE}`,
    `https://sns.eu-west-1.amazonaws.com:443/${FILE}`, `https://sns.eu-west-1.amazonaws.com./${FILE}`, `https://sns.eu-west-1.amazonaws.com.de/${FILE}`,
    `https://sns.eu-west-1.amazonaws.com.cn.evil.example/${FILE}`, `https://snsXeu-west-1.amazonaws.com/${FILE}`,
    `https://sns.eu-west-1xamazonaws.com/${FILE}`, `https://sns.amazonaws.com/${FILE}`, `https://sns..amazonaws.com/${FILE}`,
    `https://s3.eu-west-1.amazonaws.com/sns/${FILE}`, `https://sns.s3.eu-west-1.amazonaws.com/${FILE}`, `https://x.sns.eu-west-1.amazonaws.com/${FILE}`,
    `https://sns-fips.eu-west-1.amazonaws.com/${FILE}`, `https://127.0.0.1/${FILE}`, `https://localhost/${FILE}`, `file:///${FILE}`,
    `${HOST}/${FILE}?x`, `${HOST}/${FILE}/`, `${HOST}/${FILE.replace('.pem', '.crt')}`, `${HOST}/${FILE.replace('.pem', '.PEM')}`, HOST, `${HOST}/`, '',
]) refused(`a certificate at ${url || 'nothing'}`, at(url));
for (const url of [
    `https://SNS.eu-west-1.amazonaws.com/${FILE}`, `HTTPS://sns.eu-west-1.amazonaws.com/${FILE}`, ` ${HOST}/${FILE}`, `${HOST}/${FILE}#x`,
    `https://user@sns.eu-west-1.amazonaws.com/${FILE}`, `https:\\\\sns.eu-west-1.amazonaws.com\\${FILE}`,
    `https://sns.eu-west-1.amazonaws.com\\@evil.example/${FILE}`,
]) stricter(`a certificate at ${url}`, at(url), PLAIN_URL);
for (const path of [
    `/bucket/${FILE}`, `/../${FILE}`, `//${FILE}`, '/x.pem', '/SimpleNotificationService-.pem', '/SimpleNotificationService-a/b.pem',
    '/SimpleNotificationService-a.b.pem', '/SimpleNotificationService-%41.pem', '/simplenotificationservice-a.pem', `/?x=${FILE}`, `/${FILE}?x=.pem`,
]) stricter(`a certificate at the path ${path}`, at(HOST + path), NO_CERTIFICATE);

// Regions.
const topic = (region, partition = 'aws') => ({ TopicArn: `arn:${partition}:sns:${region}:123456789012:alarms` });
const host = (region, end = '') => `https://sns.${region}.amazonaws.com${end}/${FILE}`;
for (const [region, partition, end] of [
    ['us-east-1'], ['ap-southeast-12'], ['mx-central-1'], ['us-gov-west-1', 'aws-us-gov'], ['cn-north-1', 'aws-cn', '.cn'], ['cn-northwest-1', 'aws-cn', '.cn'],
    ['eu-west-1', 'aws', '.cn'],
]) taken(`a topic of ${partition ?? 'aws'} in ${region}${end ? `, with ${end}` : ''}`, at(host(region, end), topic(region, partition)));
taken('a topic that keeps the order', at(`${HOST}/${FILE}`, { TopicArn: `${TOPIC}.fifo` }));
stricter('a topic in another region', at(`${HOST}/${FILE}`, topic('us-east-1')), OTHER_REGION);
stricter('a certificate in another region', at(host('us-east-1')), OTHER_REGION);
for (const region of ['s3-eu-west-1', 's3-website-eu-west-1']) {
    stricter(`a topic in ${region}`, at(host(region), topic(region)), 'a place of the bucket `sns`, which may be of anybody, is no region');
}
for (const region of ['s3', 'eu', '']) refused(`a topic in ${region || 'no region'}`, at(host(region), topic(region)));
for (const arn of [
    'alarms', 'arn:aws:sqs:eu-west-1:123456789012:alarms', 'arn:aws:sns:eu-west-1:123456789012', 'arn:aws:sns:eu-west-1::alarms',
    `${TOPIC}:11111111-2222-3333-4444-555555555555`, 'arn:evil:sns:eu-west-1:123456789012:alarms', 'ARN:aws:sns:eu-west-1:123456789012:alarms', '',
]) stricter(`TopicArn ${arn || 'of nothing'}`, at(`${HOST}/${FILE}`, { TopicArn: arn }), 'the topic decides what may be believed, so it is read');

// Where a subscription is confirmed.
for (const url of [
    'https://evil.example/?Action=ConfirmSubscription&Token=t0', CONFIRM.replace('https', 'http'), CONFIRM.replace('ConfirmSubscription', 'DeleteTopic'),
    CONFIRM.replace('eu-west-1', 'us-east-1'), CONFIRM.replace('.com/', '.com@evil.example/'), CONFIRM.replace('.com/', '.com:8443/'), `${HOST}/`, '',
]) stricter(`SubscribeURL ${url || 'of nothing'}`, signed(subscription({ SubscribeURL: url })), CONFIRMS);

/** The table. */
export function table() {
    const lines = messages.map((message) => JSON.stringify(message)).join(',\n');
    return `{"certificates": ${JSON.stringify(certificates, null, 1)},\n"messages": [\n${lines}\n]}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeSync(1, table());
