// What `.ci/browser` does: the pages in a real browser, and the mails that lead there.
import { once } from 'node:events';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

import {
    OPTIONS, Program, SCHEMES, SCRATCH, SCREENS, WCAG, check, checkOnePage, faults, load, main, newContext, sleep, waitFor, wideWithLargeLetters,
} from './pages.mjs';

const { default: PostalMime } = await import(load.resolve('postal-mime'));

const PUBLIC = 'https://oncall.example.com';
const SHOTS = 'target/browser';
// A button for a thumb, in CSS pixels.
const THUMB = 48;
const LARGEST_PICTURE = 150_000;
// How long all of it may take, in seconds.
const LONGEST = 300;

let pictures = 0;
let looks = 0;

/** The program, its API, and the mails that it writes. */
class Dogwatch extends Program {
    mails = join(SCRATCH, 'mail');
    read = new Map();

    async start() {
        this.init();
        await this.serve(['--public-url', PUBLIC, '--mail-folder', this.mails, '--mail-from', 'On call <oncall@example.com>']);
    }

    /** The first mail that fits. */
    mail(what, fits) {
        return waitFor(what, async () => {
            let names = [];
            try {
                names = readdirSync(this.mails).filter((name) => name.endsWith('.eml') && !this.read.has(name));
            } catch {
                // The folder is not there yet.
            }
            for (const name of names) this.read.set(name, await PostalMime.parse(readFileSync(join(this.mails, name))));
            return [...this.read.values()].find(fits);
        });
    }

    /** Where a mail leads, on this machine: its HTML and its text must agree. */
    async link(mail, page) {
        const places = [mail.text, mail.html].map((part) => part.match(/https:\/\/[^\s"<]+/)?.[0]);
        check(places[0] === places[1], `the text and the HTML of a mail lead to two places: ${places.join(' and ')}`);
        check(places[0]?.startsWith(`${PUBLIC}/${page}/`), `a mail leads to ${places[0]}`);
        return this.address + places[0].slice(PUBLIC.length);
    }

    /** An incident that pages the admin: its id, its mail, and its link. */
    async page(title = 'Checkout is down') {
        const incident = await this.call('POST', '/v1/incidents', {
            title, severity: 'critical', ownerId: this.me, escalationPolicyId: this.policy, componentIds: [this.component],
            description: 'Payments fail in every shop.\nCards and cash alike.' });
        const mail = await this.mail('a page', (one) => one.subject === `[#${incident.sequentialId}] ${title}`);
        return { id: incident.id, title, mail, link: await this.link(mail, 'p') };
    }

    async invitation(name) {
        const emailAddress = `${name}@example.com`;
        await this.call('POST', '/v1/team/members/invite', { emailAddress, role: 'org:member' });
        const mail = await this.mail('an invitation', (one) => one.to[0].address === emailAddress);
        return { mail, link: await this.link(mail, 'join') };
    }

    async isAcknowledged(incident) {
        return (await this.call('GET', `/v1/incidents/${incident.id}`)).acknowledgedAt !== null;
    }
}

/** Looks at a page on one screen in both color schemes. `button` is what it must have. */
async function look(page, { name, screen, scripts, button }) {
    const { width, height } = screen;
    for (const scheme of SCHEMES) {
        const where = `${name}, at ${width}x${height}, ${scheme}, ${scripts ? 'with' : 'without'} scripts`;
        await page.emulateMedia({ colorScheme: scheme });
        const seen = await page.evaluate(() => ({
            wide: document.documentElement.scrollWidth,
            scrolled: scrollY,
            styled: getComputedStyle(document.body).backgroundColor === 'rgb(16, 20, 24)',
            // With neither, it is the same page with and without scripts; axe does not look into the latter.
            scripts: document.querySelectorAll('script, noscript').length,
        }));
        check(seen.styled, `${where}: the style is not applied`);
        check(seen.scripts === 0, `${where}: there is a script`);
        check(seen.wide <= width, `${where}: it is ${seen.wide} pixels wide`);
        const buttons = page.getByRole('button');
        check((await buttons.count()) === (button ? 1 : 0), `${where}: it has ${await buttons.count()} buttons`);
        if (button) {
            check((await buttons.textContent()) === button, `${where}: the button says something else than ${button}`);
            const box = await buttons.boundingBox();
            check(box.height >= THUMB, `${where}: the button is ${box.height} pixels high`);
            check(seen.scrolled === 0 && box.y >= 0 && box.y + box.height <= height, `${where}: the button ends at ${box.y + box.height} pixels`);
        }
        const found = await faults(page, scripts, [...WCAG, 'best-practice']);
        check(!found, `${where}: axe finds ${found}`);
        if (scripts) await picture(page, `${name.replaceAll(' ', '-')}-${width}-${scheme}`);
        looks += 1;
    }
    const where = `${name}, at ${width}x${height}`;
    // Somebody who reads large letters.
    const wide = await wideWithLargeLetters(page);
    check(wide <= width, `${where}: with letters twice as large it is ${wide} pixels wide`);
    // Somebody whose system has colors of its own, in which a button is known by its border.
    if (button) {
        await page.emulateMedia({ forcedColors: 'active' });
        const border = await page.getByRole('button').evaluate((one) => getComputedStyle(one).borderTopStyle);
        check(border === 'solid', `${where}: in forced colors the button has no border`);
        await page.emulateMedia({ forcedColors: null });
    }
}

async function picture(page, name) {
    pictures += 1;
    return page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true, animations: 'disabled' });
}

/** A context whose pages ask for nothing besides themselves. */
const alone = (browser, dogwatch, options) =>
    newContext(browser, (request) => request.isNavigationRequest() && request.url().startsWith(dogwatch.address), options);

/** All states of the pages on one screen, each reached as a person reaches it. */
async function states(browser, dogwatch, screen, scripts, guest) {
    const phone = screen.width < 600;
    const context = await alone(browser, dogwatch, { viewport: screen, javaScriptEnabled: scripts, hasTouch: phone, isMobile: phone });
    const page = await context.newPage();
    const press = () => (phone ? page.getByRole('button').tap() : page.getByRole('button').click());
    const open = async (link, status) => {
        const answer = await page.goto(link);
        check(answer.status() === status, `${new URL(link).pathname.split('/')[1]} says ${answer.status()} in place of ${status}`);
    };
    const at = { screen, scripts };

    // The widest title that there may be.
    await open((await dogwatch.page('W'.repeat(100))).link, 200);
    await look(page, { ...at, name: 'wide title', button: 'Acknowledge' });

    const incident = await dogwatch.page();
    await open(incident.link, 200);
    await look(page, { ...at, name: 'link', button: 'Acknowledge' });
    check(!(await dogwatch.isAcknowledged(incident)), 'looking at a page acknowledges');
    await press();
    await page.getByText('Acknowledged by you').waitFor();
    check(await dogwatch.isAcknowledged(incident), 'the button does not acknowledge');
    await look(page, { ...at, name: 'acknowledged' });
    check((await page.reload()).request().method() === 'GET', 'reloading sends the form again');
    for (const status of ['identified', 'monitoring', 'resolved']) {
        await dogwatch.call('PATCH', `/v1/incidents/${incident.id}/status`, { status });
    }
    await open(incident.link, 200);
    await page.getByText('Resolved, ').waitFor();
    await look(page, { ...at, name: 'resolved' });

    await open(`${incident.link.slice(0, -4)}AAAA`, 404);
    await look(page, { ...at, name: 'wrong token' });

    const invitation = await dogwatch.invitation(guest);
    await open(invitation.link, 200);
    await look(page, { ...at, name: 'join', button: 'Join' });
    const names = [page.getByLabel('First name'), page.getByLabel('Last name')];
    for (const field of names) await field.fill(' ');
    await press();
    await page.getByRole('alert').waitFor();
    check((await names[0].getAttribute('aria-describedby')) === 'problem', 'a field does not say what is wrong with it');
    await look(page, { ...at, name: 'join with a problem', button: 'Join' });
    await names[0].fill('Ada');
    await names[1].fill('Byron');
    await press();
    await page.getByRole('heading', { name: 'Welcome to Harbour' }).waitFor();
    await look(page, { ...at, name: 'joined' });
    const key = await page.locator('code').textContent();
    const { rules } = await dogwatch.call('GET', '/v1/notification-rules', undefined, key);
    check(Array.isArray(rules), 'the key that is shown does not work');
    await open(invitation.link, 404);

    check(context.strange.length === 0, `a page is not alone: ${context.strange[0]}`);
    await context.close();
}

/** A scanner of links: it opens, waits, scrolls, hovers and focuses, follows what can be followed, and submits nothing. */
async function scanner(browser, dogwatch) {
    const incident = await dogwatch.page();
    for (const method of ['GET', 'HEAD', 'GET']) {
        const answer = await fetch(incident.link, { method, headers: { purpose: 'prefetch' } });
        check(answer.status === 200, `${method} of a link says ${answer.status}`);
    }
    const context = await alone(browser, dogwatch, { viewport: SCREENS[1] });
    const page = await context.newPage();
    await page.goto(incident.link, { waitUntil: 'networkidle' });
    await sleep(1_000);
    const { middles, places } = await page.evaluate(() => ({
        middles: Array.from(document.querySelectorAll('body *'), (one) => {
            const { x, y, width, height } = one.getBoundingClientRect();
            return [x + width / 2, y + height / 2];
        }),
        places: Array.from(document.querySelectorAll('[href], [src], form'), (one) => one.href ?? one.src ?? one.action),
    }));
    for (const [x, y] of middles) {
        await page.mouse.move(x, y);
        await page.mouse.wheel(0, 1);
        await page.keyboard.press('Tab');
    }
    for (const place of places) await page.goto(place);
    await page.goBack();
    await page.reload({ waitUntil: 'networkidle' });
    check(!(await dogwatch.isAcknowledged(incident)), 'a scanner has acknowledged');
    check(middles.length > 10 && places.includes(incident.link), 'a scanner does not see the page');
    await context.close();
    return incident;
}

/** Another site sends the form, and shows the page in a frame. */
async function otherSite(browser, dogwatch, incident) {
    const body = `<form method="post" action="${incident.link}"><button>Win</button></form><iframe src="${incident.link}"></iframe>`;
    const site = createServer((request, answer) => answer.setHeader('content-type', 'text/html').end(body)).listen(0, 'localhost');
    await once(site, 'listening');
    const context = await browser.newContext({ viewport: SCREENS[0] });
    const page = await context.newPage();
    const refusals = [];
    page.on('console', (message) => message.text().includes('frame-ancestors') && refusals.push(message.text()));
    await page.goto(`http://localhost:${site.address().port}/`);
    await waitFor('the refusal of a frame', () => refusals.length);
    check((await page.frameLocator('iframe').getByRole('button').count()) === 0, 'another site can show the page in a frame');
    const [answer] = await Promise.all([page.waitForResponse((one) => one.request().method() === 'POST'), page.getByRole('button').click()]);
    check(answer.status() === 403, `the form of another site is answered ${answer.status()}`);
    check(!(await dogwatch.isAcknowledged(incident)), 'another site has acknowledged');
    await page.waitForLoadState();
    await look(page, { name: 'form of another site', screen: SCREENS[0], scripts: true });
    await context.close();
    site.closeAllConnections();
    site.close();
}

/** Somebody without a mouse. */
async function keyboard(browser, dogwatch, incident) {
    const context = await alone(browser, dogwatch, { viewport: SCREENS[1] });
    const page = await context.newPage();
    await page.goto(incident.link);
    const button = page.getByRole('button');
    const before = await page.screenshot();
    await page.keyboard.press('Tab');
    const { on, style, width } = await button.evaluate((one) => {
        const { outlineStyle, outlineWidth } = getComputedStyle(one);
        return { on: one === document.activeElement && one.matches(':focus-visible'), style: outlineStyle, width: parseFloat(outlineWidth) };
    });
    check(on, 'Tab does not lead to the button');
    check(style === 'solid' && width >= 2, `the focus is an outline that is ${style} and ${width} pixels wide`);
    check(!before.equals(await picture(page, 'link-with-focus')), 'the focus cannot be seen');
    await page.keyboard.press('Enter');
    await page.getByText('Acknowledged by you').waitFor();
    const { acknowledgedBy, auditTrail } = await dogwatch.call('GET', `/v1/incidents/${incident.id}`);
    check(acknowledgedBy === dogwatch.me, 'Enter does not acknowledge');
    const said = auditTrail.filter((event) => event.event === 'incident_acknowledged');
    check(said.length === 1 && said[0].details.via === 'link', `the audit trail says ${JSON.stringify(said)}`);

    // The form of an invitation, in the order in which it is read.
    await page.goto((await dogwatch.invitation('keyboard')).link);
    for (const key of ['Tab', 'A', 'd', 'a', 'Tab', 'B', 'y', 'r', 'o', 'n', 'Tab', 'Enter']) await page.keyboard.press(key);
    await page.getByRole('heading', { name: 'Welcome to Harbour' }).waitFor();
    await paper(page, 'joined');
    await context.close();
}

/** A page on paper. */
async function paper(page, name) {
    // Backgrounds are not printed, so that letters must be dark.
    await page.emulateMedia({ media: 'print', colorScheme: 'light' });
    const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const found = await faults(page, true, WCAG);
    check(ground === 'rgba(0, 0, 0, 0)' && !found, `${name} cannot be read on paper: its background is ${ground}; axe finds ${found}`);
    await page.emulateMedia({ media: null });
    await checkOnePage(page, name, `${SHOTS}/${name}.pdf`);
}

/** A mail as a mail program shows it: its HTML, and its text. */
async function mails(browser, dogwatch, name, mail) {
    const context = await browser.newContext({ viewport: { width: 600, height: 500 } });
    const page = await context.newPage();
    const text = `<!DOCTYPE html><title>text</title><pre style="white-space: pre-wrap; overflow-wrap: anywhere">${escaped(mail.text)}</pre>`;
    for (const [part, html] of [['html', mail.html], ['text', text]]) {
        await page.setContent(html);
        await picture(page, `mail-${name}-${part}`);
    }
    for (const width of [600, 360]) {
        await page.setViewportSize({ width, height: 740 });
        await page.setContent(mail.html);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        check(wide <= width, `the mail with the ${name} is ${wide} pixels wide at ${width}`);
        // What a mail program puts around it is not ours.
        const found = await faults(page, true, WCAG);
        check(!found, `the mail with the ${name}: axe finds ${found}`);
    }
    await context.close();
}

const escaped = (text) => text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt()};`);

/** The pictures that are kept. */
async function keep(browser, dogwatch) {
    const folder = 'docs/pictures';
    mkdirSync(folder, { recursive: true });
    const { mail, link } = await dogwatch.page();
    const context = await browser.newContext({ viewport: { width: 1200, height: 400 }, deviceScaleFactor: 1.25 });
    const page = await context.newPage();
    // The frame makes the HTML a document of its own, as a mail program does.
    await page.setContent(`<!DOCTYPE html><html lang="en"><title>A page as mail</title>
        <style>body { margin: 0; padding: 16px; display: grid; grid-template-columns: 1fr 1fr; gap: 16px; background: #d9dee3; font: 14px sans-serif }
        h2 { font: inherit; margin: 0 0 8px } iframe, pre { box-sizing: border-box; width: 100%; margin: 0; border: 0; background: #fff }
        pre { padding: 12px; font: 13px/1.5 monospace; white-space: pre-wrap; overflow-wrap: anywhere }</style>
        <section><h2>HTML</h2><iframe srcdoc="${escaped(mail.html)}"></iframe></section>
        <section><h2>Text</h2><pre>${escaped(mail.text)}</pre></section>`);
    await page.evaluate(() => {
        const [frame, text] = document.querySelectorAll('iframe, pre');
        const high = Math.max(frame.contentDocument.documentElement.scrollHeight, text.offsetHeight);
        for (const one of [frame, text]) one.style.height = `${high}px`;
    });
    const kept = { mail: await page.screenshot({ fullPage: true }) };
    await context.close();
    const phone = await browser.newContext({ viewport: SCREENS[0], deviceScaleFactor: 2, isMobile: true });
    const shown = await phone.newPage();
    await shown.goto(link);
    kept.link = await shown.screenshot();
    await phone.close();
    for (const [name, png] of Object.entries(kept)) {
        check(png.length <= LARGEST_PICTURE, `${name}.png has ${png.length} bytes`);
        writeFileSync(`${folder}/${name}.png`, png);
    }
}

async function all(browser) {
    await dogwatch.start();
    dogwatch.component = (await dogwatch.call('POST', '/v1/components', { name: 'Checkout' })).id;
    dogwatch.policy = (await dogwatch.call('POST', '/v1/escalation/policies', { name: 'Night' })).id;
    const layer = { position: 1, ackTimeoutMinutes: 5, target: { type: 'users', userIds: [dogwatch.me] } };
    await dogwatch.call('POST', `/v1/escalation/policies/${dogwatch.policy}/layers`, layer);

    let guest = 0;
    for (const screen of SCREENS) {
        for (const scripts of [true, false]) await states(browser, dogwatch, screen, scripts, `guest-${(guest += 1)}`);
    }
    const incident = await scanner(browser, dogwatch);
    await otherSite(browser, dogwatch, incident);
    const context = await alone(browser, dogwatch, { viewport: SCREENS[1] });
    const page = await context.newPage();
    await page.goto(incident.link);
    await paper(page, 'link');
    await context.close();
    await keyboard(browser, dogwatch, incident);
    await mails(browser, dogwatch, 'page', incident.mail);
    await mails(browser, dogwatch, 'invitation', (await dogwatch.invitation('reader')).mail);
    if (OPTIONS.includes('--pictures')) await keep(browser, dogwatch);
    return `${looks} looks at pages, ${pictures} pictures in ${SHOTS}: nothing to object to`;
}

rmSync(SHOTS, { recursive: true, force: true });
mkdirSync(SHOTS, { recursive: true });
const dogwatch = new Dogwatch();
await main('browser', LONGEST, dogwatch, all);
