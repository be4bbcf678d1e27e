"""The flows of the Node conformance tests with OpenAI's Python package, unmodified, against a running stack.

    flows.py <base URL> <admin key>

Prints a line for each flow, and ends with status 1 if one fails.
"""

import base64
import hashlib
import hmac
import io
import json
import sys
import tempfile
import time
import traceback

import openai
from openai import OpenAI

BASE_URL, KEY = sys.argv[1:3]
client = OpenAI(base_url=BASE_URL, api_key=KEY, admin_api_key=KEY, max_retries=0)

FLOWS = []


def flow(run):
    """Registers a flow; they run in their order."""
    FLOWS.append(run)
    return run


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def upload(*rows):
    return client.files.create(file=("rows.jsonl", lines(*rows)), purpose="fine-tune")


def question(i):
    return {"messages": [{"role": "user", "content": f"Name digit {i % 3}."}], "answer": str(i % 3)}


def answered(i):
    return {"messages": [*question(i)["messages"], {"role": "assistant", "content": str(i % 3)}]}


def preference(i):
    return {
        "input": {"messages": question(i)["messages"]},
        "preferred_output": [{"role": "assistant", "content": "1"}],
        "non_preferred_output": [{"role": "assistant", "content": "0"}],
    }


STRING_CHECK = {
    "type": "string_check",
    "name": "answer",
    "operation": "eq",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
}


def reinforcement(**hyperparameters):
    rows = upload(*[question(i) for i in range(6)])
    return client.fine_tuning.jobs.create(
        model="polymode-tiny",
        training_file=rows.id,
        validation_file=rows.id,
        method={
            "type": "reinforcement",
            "reinforcement": {
                "grader": STRING_CHECK,
                "hyperparameters": {"max_steps": 2, "group_size": 4, "max_completion_tokens": 8, **hyperparameters},
            },
        },
        metadata={"made-by": "python"},
    )


def ended(job):
    while (job := client.fine_tuning.jobs.retrieve(job.id)).finished_at is None:
        time.sleep(0.2)
    assert job.status in ("succeeded", "cancelled"), job.error
    return job


def refused(kind, call):
    try:
        call()
    except kind as error:
        assert error.request_id, "no request id"
        return error
    raise AssertionError(f"{kind.__name__} was expected")


done = None


@flow
def files():
    with tempfile.NamedTemporaryFile(suffix=".jsonl") as file:
        file.write(lines(answered(0)))
        file.flush()
        with open(file.name, "rb") as opened:
            made = client.files.create(
                file=opened, purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600}
            )
    assert made.expires_at == made.created_at + 3600
    assert client.files.wait_for_processing(made.id).status == "processed"
    assert client.files.content(made.id).read() == lines(answered(0))
    assert made.id in [one.id for one in client.files.list(limit=1)]
    assert client.files.delete(made.id).deleted
    assert refused(openai.NotFoundError, lambda: client.files.retrieve(made.id)).param == "id"
    error = refused(openai.BadRequestError, lambda: client.files.create(file=("a.jsonl", b"[]\n"), purpose="fine-tune"))
    assert error.code == "invalid_jsonl" and error.type == "invalid_request_error"


@flow
def uploads():
    data = lines(*[answered(i) for i in range(10)])
    half = len(data) // 2
    about = {"filename": "big.jsonl", "mime_type": "text/jsonl", "purpose": "fine-tune"}
    made = client.uploads.create(bytes=len(data), **about)
    parts = [client.uploads.parts.create(made.id, data=piece).id for piece in (data[half:], data[:half])]
    md5 = hashlib.md5(data).hexdigest()
    wrong = refused(
        openai.BadRequestError, lambda: client.uploads.complete(made.id, part_ids=parts[::-1], md5="0" * 32)
    )
    assert wrong.param == "md5"
    completed = client.uploads.complete(made.id, part_ids=parts[::-1], md5=md5)
    assert completed.status == "completed" and client.files.content(completed.file.id).read() == data
    short = client.uploads.create(bytes=5, **about)
    part = client.uploads.parts.create(short.id, data=io.BytesIO(b"{}")).id
    refused(openai.BadRequestError, lambda: client.uploads.complete(short.id, part_ids=[part]))
    assert client.uploads.cancel(short.id).status == "cancelled"


@flow
def reinforcement_job():
    global done
    job = reinforcement()
    assert job.status == "queued" and job.metadata == {"made-by": "python"}
    done = ended(job)
    assert done.fine_tuned_model and done.result_files
    assert b"train_reward_mean" in client.files.content(done.result_files[0]).read()


@flow
def supervised_and_preference_jobs():
    supervised = upload(*[answered(i) for i in range(10)])
    job = client.fine_tuning.jobs.create(
        model="polymode-tiny", training_file=supervised.id, hyperparameters={"n_epochs": 1}
    )
    assert ended(job).method.type == "supervised"
    preferences = upload(*[preference(i) for i in range(10)])
    job = client.fine_tuning.jobs.create(
        model="polymode-tiny",
        training_file=preferences.id,
        method={"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 1, "beta": 0.2}}},
    )
    assert ended(job).method.type == "dpo"


@flow
def lists_page_without_repeats():
    jobs = [one.id for one in client.fine_tuning.jobs.list(limit=1)]
    assert len(jobs) >= 3 and len(set(jobs)) == len(jobs)
    named = [one.id for one in client.fine_tuning.jobs.list(extra_query={"metadata[made-by]": "python"})]
    assert named == [done.id], named
    events = [one.id for one in client.fine_tuning.jobs.list_events(done.id, limit=2)]
    assert len(events) > 4 and len(set(events)) == len(events)
    checkpoints = [one.step_number for one in client.fine_tuning.jobs.checkpoints.list(done.id, limit=1)]
    assert checkpoints and checkpoints == sorted(checkpoints, reverse=True)


@flow
def pause_resume_cancel_with_an_empty_json_body():
    job = reinforcement(max_steps=100_000)
    assert client.fine_tuning.jobs.pause(job.id).status == "paused"
    assert client.fine_tuning.jobs.resume(job.id).status in ("queued", "running")
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    error = refused(openai.BadRequestError, lambda: client.fine_tuning.jobs.pause(job.id))
    assert error.response.headers["x-should-retry"] == "false"
    error = refused(openai.NotFoundError, lambda: client.fine_tuning.jobs.retrieve("ftjob-nothing"))
    assert error.code == "fine_tune_not_found"


@flow
def graders():
    graded = client.fine_tuning.alpha.graders.run(grader=STRING_CHECK, model_sample="1", item={"answer": "1"})
    assert graded.reward == 1 and not graded.metadata.errors.other_error
    multi = {
        "type": "multi",
        "name": "both",
        "graders": {"a": STRING_CHECK, "b": {**STRING_CHECK, "operation": "ne"}},
        "calculate_output": "(a + 2 * b) / 2",
    }
    graded = client.fine_tuning.alpha.graders.run(grader=multi, model_sample="2", item={"answer": "1"})
    assert graded.reward == 1 and graded.sub_rewards == {"a": 0, "b": 1}
    assert client.fine_tuning.alpha.graders.validate(grader=multi).grader
    broken = {**STRING_CHECK, "operation": "same"}
    error = refused(openai.BadRequestError, lambda: client.fine_tuning.alpha.graders.validate(grader=broken))
    assert error.param == "grader.operation"


@flow
def models():
    names = [one.id for one in client.models.list()]
    assert "polymode-tiny" in names and done.fine_tuned_model in names
    checkpoint = next(iter(client.fine_tuning.jobs.checkpoints.list(done.id))).fine_tuned_model_checkpoint
    assert client.models.retrieve(checkpoint).id == checkpoint
    # The package writes the slash of such a name as %2F.
    error = refused(openai.NotFoundError, lambda: client.models.retrieve("Qwen/Nothing-0.6B"))
    assert error.code == "model_not_found" and "Qwen/Nothing-0.6B" in error.message
    refused(openai.PermissionDeniedError, lambda: client.models.delete("polymode-tiny"))


@flow
def checkpoint_permissions():
    checkpoint = next(iter(client.fine_tuning.jobs.checkpoints.list(done.id))).fine_tuned_model_checkpoint
    project = client.post("/organization/projects", body={"name": "friends"}, cast_to=object)["id"]
    permissions = client.fine_tuning.checkpoints.permissions
    granted = permissions.create(checkpoint, project_ids=[project])
    assert [one.project_id for one in granted] == [project]
    assert [one.id for one in permissions.list(checkpoint, limit=1)] == [granted.data[0].id]
    assert permissions.delete(granted.data[0].id, fine_tuned_model_checkpoint=checkpoint).deleted


@flow
def webhooks():
    endpoint = client.post("/webhook_endpoints", body={"url": "https://example.com/hook"}, cast_to=object)
    secret = endpoint["secret"]
    body = json.dumps(
        {
            "id": "evt_1",
            "object": "event",
            "type": "fine_tuning.job.succeeded",
            "created_at": int(time.time()),
            "data": {"id": done.id},
        }
    )
    stamp = str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = base64.b64encode(hmac.new(key, f"evt_1.{stamp}.{body}".encode(), "sha256").digest()).decode()
    headers = {"webhook-id": "evt_1", "webhook-timestamp": stamp, "webhook-signature": f"v1,{digest}"}
    event = client.webhooks.unwrap(body, headers, secret=secret)
    assert event.type == "fine_tuning.job.succeeded" and event.data.id == done.id
    try:
        client.webhooks.unwrap(body + " ", headers, secret=secret)
    except openai.InvalidWebhookSignatureError:
        return
    raise AssertionError("a changed body was taken")


@flow
def chat():
    asked = {"model": done.fine_tuned_model, "messages": question(1)["messages"], "max_completion_tokens": 8, "seed": 1}
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].finish_reason in ("stop", "length") and whole.usage.completion_tokens > 0
    streamed, usage = "", None
    for chunk in client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            streamed += choice.delta.content or ""
    assert streamed == (whole.choices[0].message.content or "") and usage.total_tokens == whole.usage.total_tokens


@flow
def completions():
    scored = client.completions.create(
        model="polymode-tiny", prompt="Name digit 1.", max_tokens=0, echo=True, logprobs=1
    )
    logprobs = scored.choices[0].logprobs
    assert scored.choices[0].text == "Name digit 1." and len(logprobs.tokens) == len(logprobs.token_logprobs)
    pieces = client.completions.create(model="polymode-tiny", prompt="1", max_tokens=4, seed=1, stream=True)
    assert sum(len(piece.choices) for piece in pieces) > 0


failed = 0
for run in FLOWS:
    try:
        run()
        print(f"passed   {run.__name__}", flush=True)
    except Exception:
        failed += 1
        print(f"FAILED   {run.__name__}\n{traceback.format_exc()}", flush=True)
sys.exit(1 if failed else 0)
