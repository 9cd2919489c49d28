from loadtest.scale.profiling import shares


def test_samples_belong_to_the_innermost_code_that_is_not_a_library_s() -> None:
    lines = [
        "run (asyncio/runners.py:190);_answer (serving/api/app.py:50);loads (json/decoder.py:3) 6",
        "run (asyncio/runners.py:190);generate (deployments/ingress/remote_engine.py:4);_nex (ray/serve/handle.py:9) 3",
        "run (asyncio/runners.py:190);select (selectors.py:468) 1",
        "",
    ]
    assert shares(lines) == {"this server: API": 0.6, "Ray Serve": 0.3, "event loop and the rest": 0.1}


def test_no_samples_have_no_shares() -> None:
    assert shares([]) == {}
