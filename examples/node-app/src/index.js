import "./page.css";

const greet = async (name = "nobody") => `Hello, ${name ?? "stranger"}`;

greet(new URLSearchParams(window.location.search).get("name")).then((text) => {
  const line = document.createElement("p");
  line.textContent = text;
  document.body.append(line);
});
