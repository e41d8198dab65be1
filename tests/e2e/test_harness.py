"""The harness itself: a gateway that starts, answers, reloads and ends cleanly."""
from harness.gateway import Gateway, model, openai


def ask(model_name, **more):
    return {"model": model_name, "messages": [{"role": "user", "content": "say this"}], **more}


def test_echo_and_mock(mock):
    with Gateway(providers={"up": openai(mock.url)}, models={"m": model(("up", "real-m"))}) as gw:
        with gw.client() as c:
            r = c.chat(ask("echo"))
            assert r.status == 200 and r.json()["choices"][0]["message"]["content"] == "say this"
            r = c.chat(ask("m"))
            assert r.status == 200 and r.json()["model"] == "real-m"
            assert c.get("/healthz", headers=[("Authorization", "none")]).json()["status"] == "ok"
        assert gw.metrics()['turnpike_requests_total{status="2xx"}'] == 3
        gw.snippet("60-more.json", {"models": {"second": model("echo")}})
        gw.reload()
        with gw.client() as c:
            assert c.chat(ask("second")).status == 200
    assert not gw.dir.exists()
