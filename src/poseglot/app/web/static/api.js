// Requests to the server, with the token if there is one. Failures are `Error`s whose message may be shown.

const KEY = "poseglot-token";

const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(KEY, given);
  history.replaceState(null, "", location.pathname); // remove it from the address
}

const askForToken = () => new Promise((resolve) => {
  const dialog = document.getElementById("ask");
  const field = document.getElementById("token");
  dialog.addEventListener("close", () => {
    sessionStorage.setItem(KEY, field.value);
    field.value = "";
    resolve();
  }, { once: true });
  dialog.showModal();
});

export async function ask(path, options = {}) {
  const token = sessionStorage.getItem(KEY);
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer. Is it still running?");
  }
  if (response.status === 401) {
    await askForToken();
    return ask(path, options);
  }
  const body = await response.json().catch(() => ({ error: `The server answered with status ${response.status}.` }));
  if (!response.ok) throw new Error(body.error);
  return body;
}

// `fields` are how to read the file and what to recognise: name -> value, without what was left open.
export function upload(file, fields, options = {}) {
  const form = new FormData();
  form.append("file", file, file.name);
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return ask("/clips", { method: "POST", body: form, ...options });
}
