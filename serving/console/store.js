// What the browser keeps: in this tab (sessionStorage) or longer (localStorage). The page works without either.

export const store = {
  get(name, place = "session") {
    try {
      return JSON.parse(area(place).getItem(name) ?? "null");
    } catch {
      return null; // switched off, or not written by this page
    }
  },

  // False if there was no room for it, or storage is switched off.
  set(name, value, place = "session") {
    try {
      area(place).setItem(name, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  },
};

const area = (place) => (place === "local" ? localStorage : sessionStorage);
