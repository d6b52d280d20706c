// What an operator does with the page, done in a browser: see tests/page/run.
import assert from 'node:assert/strict';
import {chromium} from 'playwright-core';
import {NodeProcess} from './processes.mjs';

const TOKEN = 'open-sesame';
const EVIL = '<img/src=x/onerror=document.title="owned">';

let browser, leader, red, blue, page;
const problems = [];

async function screenshot(name) { await page.screenshot({path: 'screenshots/' + name + '.png', fullPage: true}); }

function row(node, id) { return page.locator(`#procs tbody tr[data-key="${node.endpoint} ${id}"]`); }
function follower(node) { return page.locator(`#replication g.follower[data-endpoint="${node.endpoint}"]`); }
function endpoint(node) { return page.locator(`#endpoints li[data-endpoint="${node.endpoint}"]`); }
async function ids() {
  return page.$$eval('#procs tbody tr', rows => rows.map(row => row.dataset.key.split(' ')[1]));
}
// Until it holds, or 20 s.
async function until(what, condition, limitMs = 20000) {
  const begin = Date.now();
  while (!await condition()) {
    assert.ok(Date.now() - begin < limitMs, 'not within ' + limitMs + ' ms: ' + what);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  return Date.now() - begin;
}
async function filter(text) { await page.fill('#filter', text); }

const tests = {
  async 'one URL shows the whole database'() {
    await page.goto('http://' + leader.endpoint + '/');
    for (const node of [leader, red, blue]) await endpoint(node).and(page.locator('.good')).waitFor();
    await until('both followers follow', async () => await page.locator('text.state', {hasText: 'follows'}).count() === 2);
    assert.match(await endpoint(leader).textContent(), /leader orders/);
    assert.match(await endpoint(red).textContent(), /follower orders/);
    assert.match(await follower(red).textContent(), /red/);
  },

  async 'the list has the tasks of all, as text'() {
    const id = await leader.tell(`task query account 42 ${EVIL}`);
    const other = await red.tell(`task report text ${EVIL} adding up`);
    await row(leader, id).waitFor();
    await row(red, other).waitFor();
    assert.equal(await row(leader, id).locator('td').nth(6).textContent(), EVIL);
    assert.equal(await page.locator('#procs img').count(), 0);
    assert.equal(await page.title(), 'The inside view');
    await screenshot('list');
  },

  async 'it sorts'() {
    const made = [];
    for (const name of ['cherry', 'apple', 'banana']) made.push(await blue.tell(`task sorted fruit ${name} status-${name}`));
    await filter('kind=sorted');
    await until('three tasks', async () => (await ids()).length === 3);
    assert.deepEqual(await ids(), made);
    const [cherry, apple, banana] = made;
    await page.click('#procs th[data-sort=attributes]');
    await until('by attribute', async () => (await ids()).join() === [apple, banana, cherry].join());
    await page.click('#procs th[data-sort=attributes]');
    await until('the other way', async () => (await ids()).join() === [cherry, banana, apple].join());
    assert.equal(await page.getAttribute('#procs th[data-sort=attributes]', 'aria-sort'), 'descending');
    await page.click('#procs th[data-sort=procTime]');
    await until('by age', async () => (await ids()).join() === made.join());
  },

  async 'it filters'() {
    await filter('fruit=b*');
    await until('one task', async () => (await page.locator('#procs tbody tr').allTextContents()).join().includes('banana') && (await ids()).length === 1);
    await filter('kind=sorted status-apple');
    await until('another one', async () => (await page.locator('#procs tbody tr').allTextContents()).join().includes('apple') && (await ids()).length === 1);
    await filter('');
  },

  async 'a task shows its history'() {
    const id = await red.tell('task slow account 7 second-status');
    await row(red, id).click();
    const history = page.locator('#history tbody');
    await history.getByText('second-status').waitFor();
    await history.getByText('began').waitFor();
    assert.match(await page.textContent('#detail-title'), /slow account=7 \(running\)/);
  },

  async 'a kill works end to end, with the token alone'() {
    const id = await red.tell('task doomed account 8 busy');
    await row(red, id).click();
    await page.fill('#kill-message', 'in the way');
    await page.fill('#kill-token', 'wrong');
    await page.click('#kill');
    await page.locator('#kill-result', {hasText: 'the bearer token is wrong'}).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await page.fill('#kill-token', TOKEN);
    await page.click('#kill');
    await page.locator('#kill-result', {hasText: 'it is asked to end'}).waitFor();
    await row(red, id).waitFor({state: 'detached'});
    const proc = await (await fetch(`http://${red.endpoint}/procs/${id}`)).json();
    assert.equal(proc.outcome, 'cancelled');
    assert.match(proc.error, /in the way/);
    assert.equal(await page.evaluate(name => sessionStorage.getItem(name), 'token ' + red.endpoint), TOKEN);
    await page.selectOption('#state', 'failed');
    await row(red, id).and(page.locator('.cancelled')).waitFor();
    await page.selectOption('#state', 'running');
  },

  async 'a follower that stops shows within two seconds'() {
    await until('it follows', async () => !/bad/.test(await follower(blue).getAttribute('class')));
    blue.signal('SIGSTOP');
    const shown = page.locator(`#replication g.follower.bad[data-endpoint="${blue.endpoint}"]`);
    const took = await until('it shows', async () => await shown.count() === 1, 2000);
    console.log('  a stopped follower showed after ' + took + ' ms');
    await endpoint(blue).and(page.locator('.bad')).waitFor();
    await screenshot('stopped');
    blue.signal('SIGCONT');
    await until('it is well again', async () => await shown.count() === 0);
  },

  async 'a stuck follower is found and killed by what the page shows'() {
    await blue.tell('stall');
    await leader.tell('put default key value');
    await leader.tell('flush');
    // Followers open a generation before they show a new column family: they read the storage.
    await leader.tell('create extra');
    await leader.tell('put extra key found');
    // From here on the test knows what an operator sees: one of the followers is red.
    const bad = page.locator('#replication g.follower.bad');
    await bad.filter({hasText: 'lags behind'}).waitFor();
    await screenshot('stuck');
    await bad.click();
    const waiting = page.locator('#procs tbody tr', {has: page.locator('td:nth-child(9)', {hasText: 'peer the shared storage'})}).first();
    await waiting.waitFor();
    await waiting.click();
    await page.locator('#detail-blockers', {hasText: 'the shared storage'}).waitFor();
    await screenshot('stuck-task');
    await page.fill('#kill-message', 'the storage does not answer');
    await page.fill('#kill-token', TOKEN);
    await page.click('#kill');
    await page.locator('#kill-result', {hasText: 'it is asked to end'}).waitFor();
    await until('all followers follow', async () => await page.locator('#replication g.follower.bad').count() === 0);
    await until('what it missed is there', async () => {
      try { return await blue.tell('get extra key') === 'found'; } catch { return false; }
    });
    await page.locator('#endpoints .chosen button').click();
    await screenshot('recovered');
  },

  async 'threads are a flame graph'() {
    await page.selectOption('#threads-endpoint', red.endpoint);
    await page.click('#profile');
    const frames = page.locator('#flame .frame');
    await frames.getByText('ss-applier', {exact: true}).waitFor();
    const all = await frames.count();
    assert.ok(all > 10);
    await screenshot('threads');
    await frames.getByText('ss-applier', {exact: true}).click();
    await until('one part is shown', async () => await frames.count() < all);
    await page.click('#stacks');
    await page.locator('#stacks-text', {hasText: 'ss-receiver'}).waitFor();
  },

  async 'a link has its endpoints'() {
    await page.goto(`http://${leader.endpoint}/?host=${red.endpoint},${blue.endpoint},bad%20name`);
    await endpoint(red).and(page.locator('.good')).waitFor();
    await endpoint(blue).and(page.locator('.good')).waitFor();
    assert.equal(await page.locator('#endpoints li').count(), 2);
    await page.getByText('follows orders').first().waitFor();
  },
};

async function main() {
  leader = await NodeProcess.start('leader', ['directory=data/leader', 'storage=data/storage']);
  const follow = name => NodeProcess.start('follower', ['address=' + leader.replication, 'storage=data/storage', 'name=' + name]);
  red = await follow('red');
  blue = await follow('blue');
  browser = await chromium.launch({executablePath: process.env.CHROMIUM, headless: true, args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync']});
  page = await browser.newPage({viewport: {width: 1300, height: 900}});
  page.setDefaultTimeout(20000);
  page.on('pageerror', error => problems.push(error.message));
  page.on('request', request => {
    if (!/^(http:\/\/127\.0\.0\.1:|data:)/.test(request.url())) problems.push('asked for ' + request.url());
  });
  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
      console.log('ok    ' + name);
    } catch (error) {
      ++failed;
      console.log('FAILED ' + name + '\n' + error.stack);
      await screenshot('failed-' + failed).catch(() => {});
    }
  }
  await browser.close();
  for (const node of [blue, red, leader]) {
    const how = await node.stop();
    if (how !== 0) problems.push('a process ended with ' + how);
  }
  problems.forEach(problem => console.log('FAILED ' + problem));
  process.exitCode = failed || problems.length ? 1 : 0;
}

const watchdog = setTimeout(() => { console.log('FAILED: not done in time'); process.exit(1); }, 150000);
await main();
clearTimeout(watchdog);
