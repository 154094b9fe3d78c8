"""Options of the test run."""


def pytest_addoption(parser):
    parser.addoption("--bless", action="store_true", help="rewrite the fixtures' wants and fixed twins")
