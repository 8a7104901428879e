"""A job is data; it runs in place or in a worker process. Nothing here imports torch before a job runs."""

from regsuite.jobs.client import WorkerClient
from regsuite.jobs.job import Job
from regsuite.jobs.local import execute, read_inputs, run, run_series, train
from regsuite.jobs.message import Message

__all__ = ["Job", "Message", "WorkerClient", "execute", "read_inputs", "run", "run_series", "train"]
