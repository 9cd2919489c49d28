// Questions, a tool and a schema that all client programs share, as in ../programs/common.py.

export const MODEL = "moa-lite";
export const MISSING = "no-such-model";
export const QUESTION = "What is 52345 + 17890?";
export const TOOL_NAME = "compute";
export const TOOL_DESCRIPTION = "Does exact calculations with two numbers.";
export const PARAMETERS = {
  type: "object",
  properties: { expression: { type: "string", description: "What to calculate." } },
  required: ["expression"],
};
export const ANSWER_SCHEMA = {
  type: "object",
  properties: { parity: { type: "string", enum: ["even", "odd"] }, certain: { type: "boolean" } },
  required: ["parity", "certain"],
  additionalProperties: false,
};
export const MAX_REQUESTS = 3;
const TOOL_QUESTIONS = {
  "What is 3817 * 246?": "938982",
  "What is 6441 / 339?": "19",
  "What is 371735 - 55245?": "316490",
};

export function compute(expression) {
  const found = /(-?\d+)\s*([-+*/x×])\s*(-?\d+)/.exec(expression);
  if (!found) return `error: no calculation: ${expression}`;
  const [left, right] = [Number(found[1]), Number(found[3])];
  if (found[2] === "/" && right === 0) return "error: division by zero";
  const results = { "+": left + right, "-": left - right, "/": Math.trunc(left / right) };
  return String(results[found[2]] ?? left * right);
}

// Run a loop of tool calls, `question -> [number of calls, answer]`, up to the first right answer.
export async function loops(loop) {
  const done = [];
  for (const [question, answer] of Object.entries(TOOL_QUESTIONS)) {
    const [calls, text] = await loop(question);
    const right = (text ?? "").includes(answer);
    done.push({ question, calls, text, right });
    if (calls && right) break;
  }
  return done;
}

// Class and message of the error that `action` raises.
export async function failure(action) {
  try {
    await action();
  } catch (raised) {
    return { class: raised.constructor.name, message: String(raised) };
  }
  throw new Error(`no error for the model ${MISSING}`);
}

// Run the features named on the command line: one line of JSON for each.
export async function main(features) {
  const [url, ...names] = process.argv.slice(2);
  for (const feature of names) {
    let line;
    try {
      line = { feature, result: await features[feature](url) };
    } catch (raised) {
      line = { feature, error: raised.stack ?? String(raised) };
    }
    console.log(JSON.stringify(line));
  }
}
