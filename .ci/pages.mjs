// What the checks of pages in a browser have in common: `.ci/browser` and `.ci/status`.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

export const [PROGRAM, SCRATCH, TOOLS, CHROMIUM, ...OPTIONS] = process.argv.slice(2);
export const load = createRequire(`${resolve(TOOLS)}/`);
const AXE = readFileSync(load.resolve('axe-core/axe.min.js'), 'utf8');

export const SCREENS = [{ width: 360, height: 740 }, { width: 1280, height: 900 }];
export const SCHEMES = ['light', 'dark'];
export const WCAG = ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'];

export class Failed extends Error {}

export function check(holds, what) {
    if (!holds) throw new Failed(what);
}

export const sleep = (millis) => new Promise((done) => setTimeout(done, millis));

export async function waitFor(what, find, seconds = 20) {
    for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(50)) {
        const found = await find();
        if (found) return found;
    }
    throw new Failed(`${what} did not come within ${seconds} s`);
}

/** The program, and its API. `environment` is what it gets besides ours. */
export class Program {
    data = join(SCRATCH, 'data');

    init(environment) {
        const admin = ['--admin-email', 'ada@example.com', '--first-name', 'Ada', '--last-name', 'Byron'];
        const env = { ...process.env, ...environment };
        const made = execFileSync(PROGRAM, ['init', '--data', this.data, '--org', 'Harbour', ...admin], { env });
        ({ apiKey: this.key, userId: this.me } = JSON.parse(made));
    }

    async serve(settings, environment) {
        const all = ['serve', '--data', this.data, '--existing', '--quiet', '--listen', '127.0.0.1:0', ...settings];
        this.process = spawn(PROGRAM, all, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...environment } });
        const lines = createInterface(this.process.stdout);
        this.ended = once(this.process, 'close').then(([code]) => code);
        this.address = await new Promise((done, failed) => {
            lines.on('line', (line) => line.startsWith('listening on ') && done(line.split(' ').at(-1)));
            this.ended.then(() => failed(new Failed('the program did not start')));
        });
    }

    /** Stops it; its exit code. */
    async stop() {
        this.process?.kill('SIGTERM');
        return this.ended;
    }

    async call(method, path, body, key = this.key) {
        const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
        const answer = await fetch(this.address + path, { method, headers, body: body && JSON.stringify(body) });
        const read = await answer.json();
        check(answer.ok, `${method} ${path} says ${answer.status} ${JSON.stringify(read).slice(0, 300)}`);
        return read.data;
    }
}

/**
 * What axe finds in a page as it stands, in one line; empty when there is nothing. It comes in through the debugger, for which the policy of
 * the page does not count. What the page was told of color schemes and paper must be told again afterwards.
 */
export async function faults(page, scripts, tags) {
    const session = await page.context().newCDPSession(page);
    const run = (disabled) => session.send('Emulation.setScriptExecutionDisabled', { value: disabled });
    // The page was read without scripts; axe is one. What is set already is not set again, so it is set twice.
    if (!scripts) await run(true).then(() => run(false));
    await page.evaluate(AXE);
    const found = await page.evaluate((values) => axe.run({ runOnly: { type: 'tag', values } }), tags);
    if (!scripts) await run(true);
    await session.detach();
    const open = found.incomplete.filter((one) => one.id === 'color-contrast');
    const said = [...found.violations, ...open].map((one) => `${one.id} (${one.help}) at ${one.nodes.map((node) => node.target).join(', ')}`);
    check(found.passes.some((one) => one.id === 'color-contrast'), 'axe has not looked at any contrast');
    return said.join('; ');
}

/** A context that notes what its pages ask for besides what `isOurs`, and what their policy refuses. */
export async function newContext(browser, isOurs, options) {
    const context = await browser.newContext({ locale: 'en-GB', ...options });
    context.strange = [];
    context.on('request', (request) => isOurs(request) || context.strange.push(`it asks for ${request.url().slice(0, 80)}`));
    context.on('console', (message) => message.text().includes('Content Security Policy') && context.strange.push(message.text()));
    context.setDefaultTimeout(10_000);
    return context;
}

/** How wide a page is for somebody who reads large letters. */
export const wideWithLargeLetters = (page) => page.evaluate(() => {
    document.documentElement.style.fontSize = '200%';
    const { scrollWidth } = document.documentElement;
    document.documentElement.style.fontSize = '';
    return scrollWidth;
});

/** Prints a page on A4 into a file. */
export async function checkOnePage(page, name, path) {
    const pdf = await page.pdf({ path, format: 'A4' });
    const count = pdf.toString('latin1').match(/\/Type\s*\/Page\b/g)?.length;
    check(count === 1, `${name} is printed on ${count} pages`);
}

/** Runs a check with a browser and the program, and ends both however it goes. `run` gives what is said at the end. */
export async function main(name, longest, program, run) {
    const { chromium } = load('playwright-core');
    process.on('exit', () => program.process?.kill('SIGKILL'));
    setTimeout(() => {
        console.error(`${name}: it takes longer than ${longest} s`);
        process.exit(1);
    }, longest * 1000).unref();
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    try {
        const said = await run(browser);
        check((await program.stop()) === 0, 'the program did not stop well');
        console.log(said);
    } catch (error) {
        console.error(`${name}: ${error instanceof Failed ? error.message : error.stack}`);
        process.exitCode = 1;
    } finally {
        await browser.close();
        await program.stop();
    }
    // A server of a check that failed would keep it waiting.
    process.exit();
}
