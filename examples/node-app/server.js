// Serves what webpack made.
const path = require("node:path");
const express = require("express");

const app = express();
app.use(express.static(path.join(__dirname, "dist")));
app.get("/health", (_request, response) => response.json({ status: "well" }));
app.listen(process.env.PORT ?? 3000);
