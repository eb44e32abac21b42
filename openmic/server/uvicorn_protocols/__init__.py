"""uvicorn's protocols, with the deadlines and limits that it has not."""
