"""The service that tutorials show: FastAPI, the model in the handler, one image at a time."""

import os

import uvicorn
from fastapi import FastAPI, UploadFile

from bench.peers.servers.model import Answer, Classifier

app = FastAPI()
classifier = Classifier()


@app.post("/predict")
async def predict(file: UploadFile) -> Answer:
    """The request waits in the event loop for its forward pass, and so do all others."""
    image = classifier.decode(await file.read())
    return classifier.predict(image.unsqueeze(0))[0]


@app.get("/health")
async def health() -> str:
    """Answers once the model is loaded."""
    return "ok"


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PEER_PORT"]), log_level="warning")
