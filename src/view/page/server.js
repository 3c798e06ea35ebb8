// Questions to the program that serves this page, and the stream that tells it that the tab is open.

export const tab = Array.from(crypto.getRandomValues(new Uint8Array(8)),
                              (byte) => byte.toString(16).padStart(2, '0')).join('');

/// The program has stopped working on an answer, as it was told to, or as something newer was asked.
export class Stopped extends Error {}

/// Resolves once the tab is known; lost() is called when the program has gone.
export function openTab(lost) {
  return new Promise((resolve) => {
    const events = new EventSource('tab?name=' + tab);
    events.onopen = resolve;
    events.onerror = () => {
      if (events.readyState === EventSource.CLOSED) lost();
      else if (events.readyState === EventSource.CONNECTING) lost('connecting');
    };
  });
}

async function post(name, question) {
  const answer = await fetch(name, {
    method: 'POST',
    headers: {'Content-Type': 'application/json', 'X-Tab': tab},
    body: JSON.stringify(question),
  });
  if (answer.status === 204) throw new Stopped('stopped');
  if (answer.ok) return answer;
  let sentence = answer.statusText;
  try {
    sentence = (await answer.json()).error;
  } catch { /* the status is all there is */ }
  throw new Error(sentence);
}

export async function ask(name, question = {}) {
  return (await post(name, question)).json();
}

let lastNumber = 0;

/// The numbers of an image's pixels, panel by panel, and what is said of them.  A newer image ends
/// one that is still being made, which is then Stopped.
export async function frame(question) {
  const answer = await post('frame', {...question, number: ++lastNumber});
  const facts = JSON.parse(answer.headers.get('X-Frame'));
  return {...facts, values: new Float32Array(await answer.arrayBuffer())};
}
