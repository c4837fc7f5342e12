// What `.ci/status` does: status pages as browsers, validators and programs of others see them, and readers who do not pause.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';

import {
    OPTIONS, Program, SCHEMES, SCRATCH, SCREENS, WCAG, check, checkOnePage, faults, load, main, newContext, sleep, wideWithLargeLetters,
} from './pages.mjs';

const run = promisify(execFile);
const { STATUS_FAKETIME: FAKETIME, STATUS_VENV: VENV } = process.env;
const { Statuspage } = load('statuspage.io');
const VNU = load.resolve('vnu-jar/build/dist/vnu.jar');

const PUBLIC = 'https://oncall.example.com';
const SHOTS = 'target/status';
// Otherwise the program warns that it pages nobody.
const MAIL = ['--mail-folder', join(SCRATCH, 'mail'), '--mail-from', 'oncall@example.com'];
const LARGEST_PICTURE = 150_000;
// How long all of it may take, in seconds.
const LONGEST = 300;
// Something that no form of a page may say.
const SECRET = 'xyzzy';
const READERS = 8;
const CHANGES = 25;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

let pictures = 0;
let looks = 0;

/** Sets the clock that the program believes in. */
function setClock(at) {
    const file = join(SCRATCH, 'clock');
    const seconds = Math.round((at - Date.now()) / 1000);
    writeFileSync(`${file}.new`, `${seconds > 0 ? '+' : ''}${seconds}\n`);
    renameSync(`${file}.new`, file);
}

const midnight = Math.floor(Date.now() / DAY) * DAY;
/** So many days ago, at a time of day in UTC, as in `7:05`. */
function ago(days, time) {
    const [hours, minutes] = time.split(':');
    return midnight - days * DAY + (Number(hours) * 60 + Number(minutes)) * MINUTE;
}

/** The organization: its components, pages and incidents. */
class Harbour extends Program {
    ids = new Map();
    pages = new Map();
    /** What is told of each page: its components with their status, its incidents and maintenances by their ids. */
    expected = {};

    async components(list) {
        for (const [name, groupLabel, description] of list) {
            this.ids.set(name, (await this.call('POST', '/v1/components', { name, groupLabel, description })).id);
        }
    }

    of(names) {
        return names.map((name) => this.ids.get(name));
    }

    async page(slug, name, components, timezone = 'Europe/Berlin') {
        const componentIds = this.of(components);
        const page = await this.call('POST', '/v1/status-pages', { name, slug, published: true, timezone, componentIds });
        this.pages.set(slug, page.id);
        const operational = components.map((component) => [component, 'operational']);
        this.expected[slug] = { name, components: Object.fromEntries(operational), incidents: {}, maintenances: {} };
    }

    /** Says by hand how components of a page are, in place of what was said before. */
    async byHand(slug, statuses) {
        const overrides = Object.entries(statuses).map(([name, status]) => ({ componentId: this.ids.get(name), status }));
        await this.call('PATCH', `/v1/status-pages/${this.pages.get(slug)}`, { overrides });
    }

    async open(slug, severity, title, components) {
        const incident = await this.call('POST', '/v1/incidents', {
            title, severity, componentIds: this.of(components), ownerId: this.me, description: SECRET });
        this.expected[slug].incidents[incident.id] = { title, severity, components, resolved: false };
        return { slug, ...incident };
    }

    async say(incident, statusChange, body, visibility = 'public') {
        const path = `/v1/incidents/${incident.id}`;
        const said = body
            ? await this.call('POST', `${path}/updates`, { body, statusChange: statusChange ?? undefined, visibility })
            : await this.call('PATCH', `${path}/status`, { status: statusChange });
        if (statusChange === 'resolved') this.expected[incident.slug].incidents[incident.id].resolved = true;
        return said;
    }

    async redact(incident, update) {
        await this.call('POST', `/v1/incidents/${incident.id}/updates/${update.id}/redact`);
    }

    /** An incident of the past, from its beginning to its end. */
    async past(slug, severity, title, components, from, to, said) {
        setClock(from);
        const incident = await this.open(slug, severity, title, components);
        setClock(from + (to - from) / 3);
        await this.say(incident, 'identified', said[0]);
        setClock(from + ((to - from) * 2) / 3);
        await this.say(incident, 'monitoring', said[1]);
        await this.say(incident, null, `Only for us: ${SECRET}`, 'internal');
        if (said[3]) await this.redact(incident, await this.say(incident, null, said[3]));
        setClock(to);
        await this.say(incident, 'resolved', said[2]);
        return incident;
    }

    async maintenance(slug, title, description, components, from, to, state) {
        const [startsAt, endsAt] = [from, to].map((at) => new Date(at).toISOString());
        const path = `/v1/status-pages/${this.pages.get(slug)}/maintenances`;
        const { id } = await this.call('POST', path, { title, description, componentIds: this.of(components), startsAt, endsAt });
        this.expected[slug].maintenances[id] = { title, state, components };
        return `${path}/${id}`;
    }
}

const WIDE = 'W'.repeat(100);
const LONG = 'It takes what the shops send and hands it to whoever has to know, in the order in which it came, as often as it must. '.repeat(8).trim();

/** A page with ten components and three incidents, as there are many. */
async function usual(harbour) {
    const names = [
        ['Online shop', 'Shops', 'Browsing, baskets and checkout'], ['Shops in town', 'Shops'], ['Gift cards', 'Shops'],
        ['Cards', 'Payments', 'Visa, Mastercard and Amex'], ['Bank transfer', 'Payments'], ['Refunds', 'Payments'],
        ['API', 'For developers', 'api.example.com'], ['Webhooks', 'For developers'], ['Documentation', 'For developers'],
        ['Help desk'],
    ];
    await harbour.components(names);
    await harbour.page('harbour', 'Harbour', names.map(([name]) => name));
    return {
        past: [
            [ago(78, '9:00'), () => harbour.byHand('harbour', { Webhooks: 'degraded' })],
            [ago(76, '11:00'), () => harbour.byHand('harbour', {})],
            [ago(63, '20:00'), () => harbour.byHand('harbour', { 'Gift cards': 'maintenance' })],
            [ago(62, '3:00'), () => harbour.byHand('harbour', {})],
            [ago(41, '5:00'), () => harbour.byHand('harbour', { API: 'partial_outage', 'Online shop': 'degraded' })],
            [ago(41, '7:30'), () => harbour.byHand('harbour', { API: 'degraded' })],
            [ago(40, '9:00'), () => harbour.byHand('harbour', {})],
            [ago(19, '13:10'), () => harbour.past('harbour', 'critical', 'Checkout is down', ['Online shop', 'Cards'],
                ago(19, '13:10'), ago(19, '14:25'), ['A certificate of the payment provider has expired.', 'They have renewed it.',
                    'All payments go through again. Nobody was charged twice.'])],
            [ago(6, '7:40'), () => harbour.past('harbour', 'medium', 'Refunds take longer', ['Refunds'], ago(6, '7:40'), ago(6, '18:05'),
                ['A file from the bank is late.', null, 'All refunds of the day are on their way.'])],
        ],
        async now() {
            const from = Date.now() - 68 * MINUTE;
            setClock(from);
            const incident = await harbour.open('harbour', 'high', 'Some card payments fail', ['Cards', 'Online shop']);
            setClock(from + 9 * MINUTE);
            await harbour.say(incident, null, 'We see that about one payment in five fails, and look into it.');
            setClock(from + 24 * MINUTE);
            await harbour.say(incident, 'identified', 'One of two lines to the card network is down.');
            setClock(from + 51 * MINUTE);
            await harbour.say(incident, 'monitoring', 'All payments go over the other line now. We stay on it: https://example.com/lines');
            Object.assign(harbour.expected.harbour.components, { Cards: 'partial_outage', 'Online shop': 'partial_outage' });
            await harbour.maintenance('harbour', 'A new database', 'Orders are taken, and appear a few minutes later.', ['API', 'Webhooks'],
                Date.now() + 2 * DAY, Date.now() + 2 * DAY + 120 * MINUTE, 'scheduled');
        },
    };
}

/** A page with as much as there may be, and the widest words. */
async function rich(harbour) {
    const groups = ['Shops', 'Payments', 'For developers', 'G'.repeat(100), undefined];
    const names = Array.from({ length: 30 }, (_, at) => `Component ${at + 1}`);
    names[0] = WIDE;
    names[12] = 'A component whose name says more about what it does than there is room for in a line of a telephone';
    names[20] = '<b>Häfen & Söhne</b> "東京" 🚢';
    const said = (at) => ({ 0: LONG, 5: WIDE.repeat(3), 12: LONG, 20: '<script>alert(1)</script>' })[at] ?? (at % 2 ? `What number ${at + 1} does` : undefined);
    await harbour.components(names.map((name, at) => [name, groups[Math.floor(at / 6)], said(at)]));
    const some = (...places) => [...new Set(places)].map((at) => names[at]);
    const past = [[ago(58, '8:00'), () => harbour.page('rich', `${'Harbour and sons, '.repeat(5)}of old`.slice(0, 100), names)]];
    const severities = ['critical', 'high', 'medium', 'low'];
    for (let at = 0; at < 14; at += 1) {
        const from = ago(54 - at * 4, `${(at * 5) % 19}:20`);
        const title = at === 3 ? WIDE : `Number ${at + 1} of what happened, with ${severities[at % 4]} severity`;
        // The fifth goes on over midnight, and is told on the day on which it ended.
        const to = at === 4 ? from + 30 * 60 * MINUTE : from + (20 + at * 15) * MINUTE;
        past.push([from, () => harbour.past('rich', severities[at % 4], title, some(at, at + 7, (at * 3) % 30), from, to,
        [at % 3 ? 'We know why.' : null, `It is better: https://example.com/${at}`, at % 2 ? 'It is over.' : null, at === 6 && `Taken back: ${SECRET}`])]);
    }
    past.push([ago(33, '1:00'), () => harbour.byHand('rich', Object.fromEntries(
        some(2, 8, 14, 20).map((name, at) => [name, ['maintenance', 'degraded', 'partial_outage', 'major_outage'][at]])))]);
    past.push([ago(31, '1:00'), () => harbour.byHand('rich', {})]);
    let over;
    // It begins at once, and ends when it is deleted.
    past.push([ago(12, '2:00'), async () => {
        over = await harbour.maintenance('rich', 'A maintenance that is over', null, some(9), ago(12, '1:00'), ago(12, '6:00'), 'over');
    }]);
    past.push([ago(12, '3:00'), () => harbour.call('DELETE', over)]);
    return {
        past,
        async now() {
            const from = Date.now() - 5 * 60 * MINUTE;
            setClock(from);
            const critical = await harbour.open('rich', 'critical', WIDE, some(2, 3, 17));
            const updates = ['identified', null, null, 'monitoring', null, null, null, null];
            for (const [at, change] of updates.entries()) {
                setClock(from + (at + 1) * 10 * MINUTE);
                const body = at === 2 ? null : `Update ${at + 1} (https://example.com/a?b=c&d=${at}), and http://example.com/${'w'.repeat(120)}.\n\n${at % 2 ? LONG : 'More to come.'}`;
                const update = await harbour.say(critical, change, body ?? `Taken back: ${SECRET}`);
                if (!body) await harbour.redact(critical, update);
            }
            await harbour.say(critical, null, `Only for us: ${SECRET}`, 'internal');
            const high = await harbour.open('rich', 'high', 'Nothing was said about it but what it is', some(4, 6));
            await harbour.say(high, 'identified');
            await harbour.say(high, 'monitoring');
            await harbour.open('rich', 'medium', 'Reports are late', some(7, 2));
            const low = await harbour.open('rich', 'low', 'A picture is missing', some(8));
            await harbour.redact(low, await harbour.say(low, null, `Taken back: ${SECRET}`));
            await harbour.maintenance('rich', 'Under way, with much to say', `${LONG}\nhttps://example.com/maintenance`, some(10, 3),
                from, Date.now() + 60 * MINUTE, 'under_way');
            await harbour.maintenance('rich', 'To come', null, some(11), Date.now() + DAY, Date.now() + 3 * DAY, 'scheduled');
            await harbour.maintenance('rich', WIDE, WIDE.repeat(10), names, Date.now() + 9 * DAY, Date.now() + 10 * DAY, 'scheduled');
            // What is said by hand counts more than an incident, and so does a maintenance.
            const byHand = { [names[1]]: 'maintenance', [names[5]]: 'degraded', [names[9]]: 'partial_outage', [names[13]]: 'major_outage', [names[17]]: 'operational' };
            await harbour.byHand('rich', byHand);
            Object.assign(harbour.expected.rich.components, byHand, {
                [names[2]]: 'major_outage', [names[3]]: 'maintenance', [names[4]]: 'partial_outage', [names[6]]: 'partial_outage',
                [names[7]]: 'degraded', [names[8]]: 'degraded', [names[10]]: 'maintenance',
            });
        },
    };
}

/** Pages that say one thing each: all of the banners that the others do not have. */
const ALONE = ['maintenance', 'degraded'];

/** Plays what has happened so far with a clock that is not that of this machine. */
async function play(harbour) {
    const environment = { LD_PRELOAD: FAKETIME, FAKETIME_TIMESTAMP_FILE: join(SCRATCH, 'clock'), FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' };
    setClock(ago(100, '8:00'));
    harbour.init(environment);
    await harbour.serve(MAIL, environment);
    const [one, other] = [await usual(harbour), await rich(harbour)];
    const quiet = ['Harbour walls', 'Lighthouse', 'Ferries', 'Cranes'];
    await harbour.components(quiet.map((name) => [name]));
    await harbour.page('quiet', 'A quiet harbour', quiet, 'America/St_Johns');
    await harbour.page('empty', 'Nothing yet', []);
    for (const status of ALONE) {
        await harbour.components([[`Of ${status}`]]);
        await harbour.page(status, `Only ${status}`, [`Of ${status}`], 'UTC');
    }
    for (const [at, happens] of [...one.past, ...other.past].sort(([a], [b]) => a - b)) {
        setClock(at);
        await happens();
    }
    await other.now();
    await one.now();
    for (const status of ALONE) {
        await harbour.byHand(status, { [`Of ${status}`]: status });
        harbour.expected[status].components[`Of ${status}`] = status;
    }
    await harbour.components([['Under load']]);
    await harbour.page('load', 'Under load', ['Under load']);
    check((await harbour.stop()) === 0, 'the program did not stop well');
}

async function picture(page, name, options) {
    pictures += 1;
    return page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true, animations: 'disabled', ...options });
}

/** Logos: a drawing, and a wide photograph. */
async function logos(browser) {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="48" height="48" viewBox="0 0 48 48"><g fill="none" stroke="#ffffff" stroke-width="4">'
        + '<circle cx="24" cy="9" r="5"/><path d="M24 14v28M14 21h20M7 29c1 8 8 13 17 13s16-5 17-13"/></g></svg>';
    const files = ['svg', 'png'].map((kind) => join(SCRATCH, `logo.${kind}`));
    writeFileSync(files[0], svg);
    const page = await browser.newPage({ viewport: { width: 480, height: 120 } });
    await page.setContent('<body style="margin: 0; background: linear-gradient(90deg, #ffd166, #ef476f)">');
    await page.screenshot({ path: files[1] });
    await page.close();
    return `harbour=${files[0]},rich=${files[1]}`;
}

/** A context whose pages ask for nothing but what a status page has. */
const alone = (browser, harbour, options) => newContext(browser, (request) => {
    const { origin, pathname, search } = new URL(request.url());
    if (origin !== harbour.address) return false;
    if (request.isNavigationRequest()) return true;
    return /^\/status\/[a-z-]+\/(logo|icon\.svg)$/.test(pathname) || (/^\/status\/[a-z-]+\/style\.css$/.test(pathname) && /^(\?v=[0-9a-f]+)?$/.test(search));
}, options);

const LOOKED_AT = ['rich', 'harbour', 'quiet', 'empty', 'no-such-page'];

/** The contrast of lines with what is behind them, as WCAG defines it. */
const faintest = (page) => page.evaluate(() => {
    const numbers = (color) => color.match(/[\d.]+/g).map(Number);
    const luminance = (color) => {
        const [red, green, blue] = numbers(color).map((byte) => (byte / 255 <= 0.04045 ? byte / 255 / 12.92 : ((byte / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const ground = (element) => {
        for (let one = element; one; one = one.parentElement) {
            const color = getComputedStyle(one).backgroundColor;
            if (numbers(color)[3] !== 0) return color;
        }
        return 'rgb(255, 255, 255)';
    };
    const all = Array.from(document.querySelectorAll('.bars path, .i'), (one) => {
        const { stroke, fill } = getComputedStyle(one);
        const [a, b] = [luminance(stroke === 'none' ? fill : stroke), luminance(ground(one))].sort((x, y) => y - x);
        return [(a + 0.05) / (b + 0.05), one.getAttribute('class')];
    });
    return all.sort(([a], [b]) => a - b)[0];
});

/** All pages on one screen, in both color schemes, with what is folded closed and open. */
async function look(browser, harbour, screen) {
    const { width, height } = screen;
    const phone = width < 600;
    const context = await alone(browser, harbour, { viewport: screen, javaScriptEnabled: false, isMobile: phone, hasTouch: phone });
    const page = await context.newPage();
    for (const slug of LOOKED_AT) {
        const answer = await page.goto(`${harbour.address}/status/${slug}`);
        check(answer.status() === (slug === 'no-such-page' ? 404 : 200), `${slug} says ${answer.status()}`);
        for (const scheme of SCHEMES) {
            const where = `${slug}, at ${width}x${height}, ${scheme}`;
            const ground = async () => {
                await page.emulateMedia({ colorScheme: scheme });
                const found = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
                check(found === (scheme === 'dark' ? 'rgb(16, 20, 24)' : 'rgb(255, 255, 255)'), `${where}: the style is not applied`);
            };
            await ground();
            const seen = await page.evaluate(() => ({
                wide: document.documentElement.scrollWidth,
                scripts: document.querySelectorAll('script, noscript, [style], [onclick], [onload]').length,
                broken: Array.from(document.images).filter((image) => !image.naturalWidth).length,
            }));
            check(seen.scripts === 0, `${where}: there is a script, or a style of its own`);
            check(seen.broken === 0, `${where}: a picture is not shown`);
            check(seen.wide <= width, `${where}: it is ${seen.wide} pixels wide`);
            const [contrast, what] = (await faintest(page)) ?? [21];
            check(contrast >= 3, `${where}: a bar or shape (${what}) has a contrast of ${contrast}`);
            for (const open of [false, true]) {
                if (open && (await page.locator('details').count()) === 0) continue;
                await page.evaluate((value) => document.querySelectorAll('details').forEach((one) => { one.open = value; }), open);
                await ground();
                await picture(page, `${slug}-${width}-${scheme}${open ? '-unfolded' : ''}`);
                const found = await faults(page, false, [...WCAG, 'best-practice']);
                check(!found, `${where}, ${open ? 'unfolded' : 'folded'}: axe finds ${found}`);
                looks += 1;
            }
            const wide = await page.evaluate(() => document.documentElement.scrollWidth);
            check(wide <= width, `${where}, unfolded: it is ${wide} pixels wide`);
        }
        const wide = await wideWithLargeLetters(page);
        check(wide <= width, `${slug}, at ${width}x${height}: with letters twice as large it is ${wide} pixels wide`);
        if (phone) {
            await page.evaluate(() => { document.documentElement.style.fontSize = '200%'; });
            await picture(page, `${slug}-${width}-large`, { fullPage: false });
        }
    }
    check(context.strange.length === 0, `a page is not alone: ${context.strange[0]}`);
    await context.close();
}

/** Somebody who has only a keyboard: Tab leads to all that can be used, in the order in which it is read, and Enter unfolds. */
async function keyboard(browser, harbour) {
    const context = await alone(browser, harbour, { viewport: SCREENS[1] });
    const page = await context.newPage();
    await page.goto(`${harbour.address}/status/rich`);
    const count = () => page.evaluate(() => {
        const all = Array.from(document.querySelectorAll('a, summary')).filter((one) => one.checkVisibility());
        all.forEach((one, at) => one.setAttribute('data-place', String(at)));
        return all.length;
    });
    const unfolded = new Set();
    let reached = 0;
    for (let all = await count(); reached < all; reached += 1) {
        await page.keyboard.press('Tab');
        const seen = await page.evaluate(() => {
            const one = document.activeElement;
            const { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(one);
            const { top, bottom } = one.getBoundingClientRect();
            return { place: Number(one.dataset.place), tag: one.tagName, text: one.textContent, visible: one.matches(':focus-visible'),
                style: outlineStyle, width: parseFloat(outlineWidth), color: outlineColor, inside: top >= 0 && bottom <= innerHeight };
        });
        check(seen.place === reached, `Tab leads to ${seen.tag} ${seen.place} (${seen.text}) in place of ${reached} of ${all}`);
        check(seen.visible && seen.style === 'solid' && seen.width >= 2, `the focus on ${seen.tag} is an outline that is ${seen.style} and ${seen.width} pixels wide`);
        check(seen.inside, `the focus on ${seen.text} is beyond the window`);
        if (seen.tag !== 'SUMMARY') continue;
        if (unfolded.size === 0) {
            const focused = await picture(page, 'focus', { fullPage: false });
            await page.evaluate(() => document.activeElement.blur());
            check(!focused.equals(await page.screenshot({ animations: 'disabled' })), 'the focus cannot be seen');
            await page.evaluate((place) => document.querySelector(`[data-place="${place}"]`).focus(), reached);
        }
        await page.keyboard.press(unfolded.size % 2 ? 'Space' : 'Enter');
        check(await page.evaluate(() => document.activeElement.parentElement.open), `${seen.text} is not unfolded`);
        unfolded.add(seen.text);
        // What was folded can be reached now; the places before it are the same.
        all = await count();
    }
    const all = await page.evaluate(() => document.querySelectorAll('details').length);
    const open = await page.evaluate(() => document.querySelectorAll('details[open]').length);
    check(open === all && all > 20, `${open} of ${all} folds can be opened with a keyboard`);
    check(unfolded.size === all, 'two folds say the same of themselves');
    await context.close();
}

/** In the colors of somebody's system, a status is its word and its shape. */
async function forcedColors(browser, harbour) {
    const context = await alone(browser, harbour, { viewport: SCREENS[1], forcedColors: 'active' });
    const page = await context.newPage();
    for (const scheme of SCHEMES) {
        await page.emulateMedia({ colorScheme: scheme });
        await page.goto(`${harbour.address}/status/rich`);
        const said = await page.evaluate(() => {
            const ground = getComputedStyle(document.body).backgroundColor;
            return Array.from(document.querySelectorAll('.name span, .banner'), (one) => {
                const { width, height } = one.querySelector('svg').getBoundingClientRect();
                const { fill } = getComputedStyle(one.querySelector('svg'));
                return { text: one.textContent.trim(), drawn: width > 8 && height > 8 && fill !== ground, shape: one.querySelector('use').getAttribute('href') };
            });
        });
        const words = { operational: 'Operational', maintenance: 'Maintenance', degraded: 'Degraded', partial_outage: 'Partial outage', major_outage: 'Major outage' };
        const expected = [words.major_outage, ...Object.values(harbour.expected.rich.components).map((status) => words[status])];
        check(said.map(({ text }) => text).join() === expected.join(), `in forced colors the page says ${said.map(({ text }) => text).join()}`);
        check(said.every(({ drawn }) => drawn), 'in forced colors a shape cannot be seen');
        const pairs = new Set(said.map(({ text, shape }) => `${text} ${shape}`));
        check(pairs.size === 5, `words and shapes do not go together: ${[...pairs].join(', ')}`);
        const [contrast, what] = await faintest(page);
        check(contrast >= 3, `in forced colors, ${scheme}, a bar or shape (${what}) has a contrast of ${contrast}`);
        const borders = await page.evaluate(() => getComputedStyle(document.querySelector('.banner')).borderTopStyle);
        check(borders === 'solid', 'in forced colors the banner has no border');
        await picture(page, `forced-${scheme}`);
    }
    check(context.strange.length === 0, `a page is not alone: ${context.strange[0]}`);
    await context.close();
}

/** On paper. */
async function paper(browser, harbour) {
    const context = await alone(browser, harbour, { viewport: { width: 794, height: 1123 }, colorScheme: 'dark' });
    const page = await context.newPage();
    for (const slug of ['rich', 'harbour']) {
        await page.goto(`${harbour.address}/status/${slug}`);
        await page.emulateMedia({ media: 'print' });
        // Backgrounds are not printed, so that letters must be dark, whatever the scheme.
        const ground = await page.evaluate(() => [document.body, document.querySelector('header')].map((one) => getComputedStyle(one).backgroundColor));
        check(ground.every((color) => ['rgba(0, 0, 0, 0)', 'rgb(255, 255, 255)'].includes(color)), `${slug}: the paper is ${ground.join(' and ')}`);
        const [contrast, what] = await faintest(page);
        check(contrast >= 3, `${slug}: on paper a bar or shape (${what}) has a contrast of ${contrast}`);
        await picture(page, `${slug}-paper`);
        const found = await faults(page, true, WCAG);
        check(!found, `${slug} cannot be read on paper: axe finds ${found}`);
        await page.emulateMedia({ media: null });
    }
    await checkOnePage(page, 'harbour', `${SHOTS}/harbour.pdf`);
    await context.close();
}

/** Other sites may show a page in a frame. */
async function frame(browser, harbour) {
    const site = createServer((_, answer) => {
        answer.setHeader('content-type', 'text/html');
        answer.end(`<!DOCTYPE html><title>other</title><iframe src="${harbour.address}/status/harbour" width="600" height="400"></iframe>`);
    });
    await once(site.listen(0, '127.0.0.1'), 'listening');
    const context = await newContext(browser, () => true, { viewport: SCREENS[1] });
    try {
        const page = await context.newPage();
        await page.goto(`http://localhost:${site.address().port}/`);
        const heading = page.frameLocator('iframe').getByRole('heading', { name: 'Harbour' });
        await heading.waitFor().catch(() => check(false, `a page cannot be shown in a frame: ${context.strange[0] ?? 'there is nothing'}`));
    } finally {
        await context.close();
        site.close();
    }
}

/** The W3C checker: it has nothing to say. */
async function valid(harbour) {
    const folder = join(SCRATCH, 'valid');
    mkdirSync(folder);
    const slugs = [...LOOKED_AT, ...ALONE, 'load'];
    const files = { html: [], svg: [], css: [] };
    const keep = async (path, name, kind) => {
        const answer = await fetch(harbour.address + path);
        const text = await answer.text();
        check(!text.includes(SECRET), `${path} tells what is only for us`);
        const file = join(folder, `${name}.${kind}`);
        writeFileSync(file, text);
        files[kind].push(file);
    };
    for (const slug of slugs) {
        await keep(`/status/${slug}`, slug, 'html');
        if (slug === 'no-such-page') continue;
        await keep(`/status/${slug}/badge.svg`, `${slug}-badge`, 'svg');
        await keep(`/status/${slug}/icon.svg`, `${slug}-icon`, 'svg');
        if (slug === 'rich' || slug === 'quiet') await keep(`/status/${slug}/style.css`, slug, 'css');
    }
    for (const kind of Object.keys(files)) {
        const options = ['-Xss4m', '-jar', VNU, '--format', 'json', '--stdout', '--exit-zero-always', `--${kind}`, ...files[kind]];
        const { stdout } = await run('java', options, { timeout: 90_000, maxBuffer: 1 << 26 });
        const { messages } = JSON.parse(stdout);
        const said = messages.map((one) => `${one.subType ?? one.type} in ${basename(one.url ?? '')}, line ${one.lastLine}: ${one.message} (${one.extract?.trim()})`);
        check(said.length === 0, `the W3C checker finds ${said.length} in ${kind}:\n${said.slice(0, 20).join('\n')}`);
    }
    return Object.values(files).flat().length;
}

const ATLASSIAN = { operational: 'operational', maintenance: 'under_maintenance', degraded: 'degraded_performance', partial_outage: 'partial_outage', major_outage: 'major_outage' };
const ORDER = ['operational', 'maintenance', 'degraded', 'partial_outage', 'major_outage'];
const INDICATOR = ['none', 'maintenance', 'minor', 'major', 'critical'];
const IMPACT = { critical: 'critical', high: 'major', medium: 'minor', low: 'minor' };

function same(found, expected, what) {
    const [a, b] = [found, expected].map((one) => JSON.stringify(one));
    check(a === b, `${what}: it reads ${a} in place of ${b}`);
}

/** A client of Atlassian Statuspage. It asks for what is to come also when it is asked for all maintenances, or for those under way. */
async function statuspage(harbour) {
    for (const [slug, { name, components, incidents, maintenances }] of Object.entries(harbour.expected)) {
        const client = new Statuspage('page');
        client.setApiUrl(`${harbour.address}/status/${slug}`);
        const worst = Math.max(0, ...Object.values(components).map((status) => ORDER.indexOf(status)));
        const { page, status } = await client.api.getStatus();
        same([page.name, page.url, status.indicator], [name, `${PUBLIC}/status/${slug}`, INDICATOR[worst]], `the status of ${slug}`);
        const summary = await client.api.getSummary();
        same(summary.status, status, `the summary of ${slug}`);
        const told = Object.entries(components).map(([one, how]) => [one, ATLASSIAN[how]]);
        for (const from of [summary, await client.api.getComponents()]) {
            same(from.components.map((one) => [one.name, one.status]), told, `the components of ${slug}`);
        }
        const all = Object.entries(incidents).reverse();
        const short = (list) => list.map((one) => [one.id, one.name, one.impact, one.status === 'resolved']).sort();
        const expected = all.map(([id, one]) => [id, one.title, IMPACT[one.severity], one.resolved]).sort();
        same(short((await client.api.incidents.getAll()).incidents), expected, `the incidents of ${slug}`);
        const open = expected.filter((one) => !one[3]);
        same(short((await client.api.incidents.getUnresolved()).incidents), open, `the unresolved incidents of ${slug}`);
        same(short(summary.incidents), open, `the incidents in the summary of ${slug}`);
        for (const one of summary.incidents) {
            same(one.components.map((it) => it.name).sort(), [...incidents[one.id].components].sort(), `what ${one.name} is about`);
            check(one.incident_updates.at(-1).status === 'investigating' && one.incident_updates[0].status === one.status, `${one.name} is told in another order`);
        }
        const some = (...states) => Object.entries(maintenances).filter(([, one]) => states.includes(one.state)).map(([id, one]) => [id, one.title]).sort();
        const found = (list) => list.map((one) => [one.id, one.name]).sort();
        same(found((await client.api.scheduledMaintenances.getUpcoming()).scheduled_maintenances), some('scheduled'), `maintenances to come of ${slug}`);
        same(found(summary.scheduled_maintenances), some('scheduled', 'under_way'), `maintenances in the summary of ${slug}`);
    }
}

/** Readers who ask for a page without a pause, half of them with what they have already, while an incident is told of every 200 ms. */
async function underLoad(harbour) {
    const url = `${harbour.address}/status/load`;
    const incident = await harbour.open('load', 'high', 'Under load', ['Under load']);
    // When each change was answered, and when it was first seen by each reader.
    const told = [];
    let asked = 0;
    let ended = false;
    const late = [];
    const reader = async (number) => {
        let tag;
        let last = -1;
        while (!ended) {
            const at = Date.now();
            const due = told.filter((since) => since <= at - 1000).length - 1;
            const headers = number % 2 && tag ? { 'if-none-match': tag } : {};
            const answer = await fetch(url, { headers });
            check(answer.status === 200 || (answer.status === 304 && headers['if-none-match']), `under load the page says ${answer.status}`);
            const text = await answer.text();
            if (answer.status === 200) {
                check(text.endsWith('</html>\n') || text.endsWith('</html>'), 'under load the page is cut off');
                tag = answer.headers.get('etag');
                const seen = Number(text.match(/Change (\d+) of the load/)?.[1] ?? -1);
                check(seen >= last, `under load the page goes back from change ${last} to ${seen}`);
                for (let change = last + 1; change <= seen; change += 1) if (told[change]) late.push(Date.now() - told[change]);
                last = seen;
            }
            check(last >= due, `change ${due} is not seen a second later, by a reader ${number % 2 ? 'with' : 'without'} a tag`);
            asked += 1;
        }
        return last;
    };
    const readers = Array.from({ length: READERS }, (_, number) => reader(number));
    const writer = async () => {
        for (let change = 0; change < CHANGES; change += 1) {
            const next = sleep(200);
            await harbour.say(incident, null, `Change ${change} of the load.`);
            told[change] = Date.now();
            await next;
        }
        await sleep(1200);
        ended = true;
    };
    await Promise.all([writer(), ...readers]).finally(() => { ended = true; });
    const seen = await Promise.all(readers);
    check(seen.every((last) => last === CHANGES - 1), `not every reader sees the last change: ${seen.join()}`);
    await harbour.say(incident, 'identified');
    await harbour.say(incident, 'monitoring');
    await harbour.say(incident, 'resolved');
    return { asked, latest: Math.max(...late) };
}

/** The picture that is kept. */
async function keep(browser, harbour) {
    const context = await alone(browser, harbour, { viewport: { width: 1280, height: 1000 } });
    const page = await context.newPage();
    await page.goto(`${harbour.address}/status/harbour`);
    // Down to the last of the first components.
    const { y, height } = await page.locator('.components').first().boundingBox();
    const png = await page.screenshot({ clip: { x: 160, y: 0, width: 960, height: y + height }, fullPage: true, animations: 'disabled' });
    check(png.length <= LARGEST_PICTURE, `status.png has ${png.length} bytes`);
    writeFileSync('docs/pictures/status.png', png);
    await context.close();
}

/** What people see. */
async function seen(browser, harbour) {
    for (const screen of SCREENS) await look(browser, harbour, screen);
    await keyboard(browser, harbour);
    await forcedColors(browser, harbour);
    await paper(browser, harbour);
    await frame(browser, harbour);
}

/** What programs read: how many documents were checked. */
async function documents(harbour) {
    await statuspage(harbour);
    writeFileSync(join(SCRATCH, 'expected.json'), JSON.stringify({ key: harbour.key, public: PUBLIC, secret: SECRET, pages: harbour.expected }));
    const settings = ['.ci/status.py', harbour.address, resolve(SCRATCH), VENV];
    await run(join(VENV, 'bin/python'), settings, { timeout: 90_000 }).catch((why) => check(false, why.stderr.trim() || why.message));
    return valid(harbour);
}

async function all(browser) {
    await play(harbour);
    await harbour.serve([...MAIL, '--public-url', PUBLIC, '--rate-per-address', 'off', '--rate-per-key', 'off',
        '--status-colors', 'harbour=#0b4f6c,rich=#5b2a86', '--status-logos', await logos(browser)]);
    const [checked] = await Promise.all([documents(harbour), seen(browser, harbour)]);
    if (OPTIONS.includes('--pictures')) await keep(browser, harbour);
    const { asked, latest } = await underLoad(harbour);
    return `${looks} looks at status pages, ${pictures} pictures in ${SHOTS}, ${checked} documents checked, ${asked} readings under load with a change seen `
        + `after ${latest} ms at most: nothing to object to`;
}

rmSync(SHOTS, { recursive: true, force: true });
mkdirSync(SHOTS, { recursive: true });
const harbour = new Harbour();
await main('status', LONGEST, harbour, all);
